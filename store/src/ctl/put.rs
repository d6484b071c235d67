//! `put`: one key, the value from the command line or from stdin.

use std::io::{IsTerminal, Read};

use balsa_proto::etcd::etcdserverpb::PutRequest;

use super::failure::{BAD_ARGS, Failure, IO};
use super::flags::Flags;
use super::{Answer, connect, print};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key and the value; `--` before a value that begins with a dash
    #[arg(value_name = "KEY VALUE")]
    pub key_value: Vec<String>,
    /// Lease ID (in hexadecimal) to attach to the key
    #[arg(long, default_value = "0")]
    pub lease: String,
    /// Return the previous key-value pair before modification
    #[arg(long)]
    pub prev_kv: bool,
    /// Updates the key using its current value
    #[arg(long)]
    pub ignore_value: bool,
    /// Updates the key using its current lease
    #[arg(long)]
    pub ignore_lease: bool,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let request = request(args, true)?;
    let mut client = connect::kv(flags, connect::any(flags).await?);
    let response = connect::ask(flags, client.put(request)).await?;
    print(flags, &Answer::Put(response))
}

/// Inside a transaction stdin is the transaction, so the value must be on the line.
pub fn request(args: Args, stdin_is_value: bool) -> Result<PutRequest, Failure> {
    let lease = lease_id(&args.lease)?;
    let usage = || Failure::new(BAD_ARGS, "put command needs 1 argument and input from stdin or 2 arguments");
    let mut words = args.key_value.into_iter();
    let key = words.next().ok_or_else(usage)?;
    let value = match words.next() {
        Some(_) if args.ignore_value => {
            return Err(Failure::bad_args("put command needs only 1 argument when 'ignore-value' is set"));
        }
        None if args.ignore_value => Vec::new(),
        Some(value) => value.into_bytes(),
        None if stdin_is_value => read_stdin()?.ok_or_else(usage)?,
        None => return Err(usage()),
    };
    Ok(PutRequest {
        key: key.into(),
        value: value.into(),
        lease,
        prev_kv: args.prev_kv,
        ignore_value: args.ignore_value,
        ignore_lease: args.ignore_lease,
    })
}

pub fn lease_id(text: &str) -> Result<i64, Failure> {
    i64::from_str_radix(text, 16).map_err(|_| {
        let cause = format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
        Failure::bad_args(format!("bad lease ID ({cause}), expecting ID in Hex"))
    })
}

/// `None` if nobody pipes a value in.
fn read_stdin() -> Result<Option<Vec<u8>>, Failure> {
    let mut value = Vec::new();
    if std::io::stdin().is_terminal() {
        return Ok(None);
    }
    std::io::stdin().read_to_end(&mut value).map_err(|error| Failure::new(IO, error.to_string()))?;
    Ok((!value.is_empty()).then_some(value))
}
