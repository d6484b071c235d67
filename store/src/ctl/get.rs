//! `get`: one key, a range, a prefix, or everything from a key.

use balsa_proto::etcd::etcdserverpb::RangeRequest;

use super::failure::{BAD_FEATURE, Failure};
use super::flags::{Flags, Format};
use super::{Answer, connect, print};
use crate::mvcc::prefix_end;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key, and where the range ends
    #[arg(value_name = "KEY RANGE_END")]
    pub keys: Vec<String>,
    /// Linearizable(l) or Serializable(s)
    #[arg(long, default_value = "l")]
    pub consistency: String,
    /// Order of results; ASCEND or DESCEND (ASCEND by default)
    #[arg(long, default_value = "")]
    pub order: String,
    /// Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION
    #[arg(long, default_value = "")]
    pub sort_by: String,
    /// Maximum number of results
    #[arg(long, default_value_t = 0)]
    pub limit: i64,
    /// Get keys with matching prefix
    #[arg(long)]
    pub prefix: bool,
    /// Get keys that are greater than or equal to the given key using byte compare
    #[arg(long)]
    pub from_key: bool,
    /// Specify the kv revision
    #[arg(long, default_value_t = 0)]
    pub rev: i64,
    /// Get only the keys
    #[arg(long)]
    pub keys_only: bool,
    /// Get only the count
    #[arg(long)]
    pub count_only: bool,
    /// Only write values when using the "simple" output format
    #[arg(long)]
    pub print_value_only: bool,
    /// Minimum revision of creation
    #[arg(long, default_value_t = 0)]
    pub min_create_rev: i64,
    /// Maximum revision of creation
    #[arg(long, default_value_t = 0)]
    pub max_create_rev: i64,
    /// Minimum revision of modification
    #[arg(long, default_value_t = 0)]
    pub min_mod_rev: i64,
    /// Maximum revision of modification
    #[arg(long, default_value_t = 0)]
    pub max_mod_rev: i64,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let value_only = args.print_value_only;
    let count_only = args.count_only;
    let request = request(args)?;
    if value_only && flags.format() != Format::Simple {
        return Err(Failure::bad_args("print-value-only is only for `--write-out=simple`"));
    }
    if count_only && flags.format() != Format::Fields {
        return Err(Failure::bad_args("--count-only is only for `--write-out=fields`"));
    }
    let mut client = connect::kv(flags, connect::any(flags).await?);
    let response = connect::ask(flags, client.range(request)).await?;
    print(flags, &Answer::Get { response, value_only })
}

pub fn request(args: Args) -> Result<RangeRequest, Failure> {
    let serializable = match args.consistency.as_str() {
        "s" => true,
        "l" => false,
        other => return Err(Failure::new(BAD_FEATURE, format!("unknown consistency flag {other:?}"))),
    };
    if args.keys_only && args.count_only {
        let text = "`--keys-only` and `--count-only` cannot be set at the same time, choose one";
        return Err(Failure::bad_args(text));
    }
    let usage = "get command needs one argument as key and an optional argument as range_end";
    let (key, range_end) = keys(&args.keys, Spread { prefix: args.prefix, from_key: args.from_key }, usage)?;
    Ok(RangeRequest {
        key: key.into(),
        range_end: range_end.into(),
        limit: args.limit,
        revision: args.rev.max(0),
        sort_order: sort_order(&args.order)?,
        sort_target: sort_target(&args.sort_by)?,
        serializable,
        keys_only: args.keys_only,
        count_only: args.count_only,
        min_mod_revision: args.min_mod_rev,
        max_mod_revision: args.max_mod_rev,
        min_create_revision: args.min_create_rev,
        max_create_revision: args.max_create_rev,
    })
}

/// How far a single key on the command line reaches.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub prefix: bool,
    pub from_key: bool,
}

/// Key and range end on the wire.
pub fn keys(args: &[String], spread: Spread, usage: &str) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    if spread.prefix && spread.from_key {
        let text = "`--prefix` and `--from-key` cannot be set at the same time, choose one";
        return Err(Failure::bad_args(text));
    }
    match args {
        [key] if spread.prefix && !key.is_empty() => {
            Ok((key.clone().into_bytes(), prefix_end(key.as_bytes())))
        }
        [key] if spread.prefix || spread.from_key => {
            let key = if key.is_empty() { vec![0] } else { key.clone().into_bytes() };
            Ok((key, vec![0]))
        }
        [key] => Ok((key.clone().into_bytes(), Vec::new())),
        [_, _] if spread.prefix || spread.from_key => Err(Failure::bad_args(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        )),
        [key, end] => Ok((key.clone().into_bytes(), end.clone().into_bytes())),
        _ => Err(Failure::bad_args(usage)),
    }
}

fn sort_order(word: &str) -> Result<i32, Failure> {
    match word.to_uppercase().as_str() {
        "" => Ok(0),
        "ASCEND" => Ok(1),
        "DESCEND" => Ok(2),
        _ => Err(Failure::new(BAD_FEATURE, format!("bad sort order {word}"))),
    }
}

fn sort_target(word: &str) -> Result<i32, Failure> {
    match word.to_uppercase().as_str() {
        "" | "KEY" => Ok(0),
        "VERSION" => Ok(1),
        "CREATE" => Ok(2),
        "MODIFY" => Ok(3),
        "VALUE" => Ok(4),
        _ => Err(Failure::new(BAD_FEATURE, format!("bad sort target {word}"))),
    }
}
