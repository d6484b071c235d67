//! `del`: one key, a range, a prefix, or everything from a key.

use balsa_proto::etcd::etcdserverpb::DeleteRangeRequest;

use super::failure::Failure;
use super::flags::Flags;
use super::get::{Spread, keys};
use super::{Answer, connect, print};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key, and where the range ends
    #[arg(value_name = "KEY RANGE_END")]
    pub keys: Vec<String>,
    /// Delete keys with matching prefix
    #[arg(long)]
    pub prefix: bool,
    /// Return deleted key-value pairs
    #[arg(long)]
    pub prev_kv: bool,
    /// Delete keys that are greater than or equal to the given key using byte compare
    #[arg(long)]
    pub from_key: bool,
    /// Delete range of keys
    #[arg(long)]
    pub range: bool,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let request = request(args)?;
    let mut client = connect::kv(flags, connect::any(flags).await?);
    let response = connect::ask(flags, client.delete_range(request)).await?;
    print(flags, &Answer::Del(response))
}

pub fn request(args: Args) -> Result<DeleteRangeRequest, Failure> {
    let usage = "del command needs one argument as key and an optional argument as range_end";
    if args.range && (args.prefix || args.from_key) {
        return Err(Failure::bad_args("`--range` cannot be set with `--prefix` or `--from-key`, choose one"));
    }
    let (key, range_end) = keys(&args.keys, Spread { prefix: args.prefix, from_key: args.from_key }, usage)?;
    Ok(DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: args.prev_kv })
}
