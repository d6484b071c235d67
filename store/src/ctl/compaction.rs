//! `compaction`: forgets what was before a revision.

use balsa_proto::etcd::etcdserverpb::CompactionRequest;

use super::failure::Failure;
use super::flags::Flags;
use super::{connect, say};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_name = "REVISION")]
    words: Vec<String>,
    /// 'true' to wait for compaction to physically remove all old revisions
    #[arg(long)]
    physical: bool,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let [word] = &args.words[..] else {
        return Err(Failure::bad_args("compaction command needs 1 argument"));
    };
    let revision: i64 = word.parse().map_err(|_| {
        Failure::new(super::failure::ERROR, format!("strconv.ParseInt: parsing {word:?}: invalid syntax"))
    })?;
    let mut client = connect::kv(flags, connect::any(flags).await?);
    let request = CompactionRequest { revision, physical: args.physical };
    if args.physical {
        // The removal may take longer than a command usually may.
        client.compact(request).await?;
    } else {
        connect::ask(flags, client.compact(request)).await?;
    }
    say(format!("compacted revision {revision}\n"))
}
