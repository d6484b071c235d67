//! `check perf | datascale`: is this cluster fast enough, and how much memory does data take?

pub mod datascale;
pub mod perf;

use balsa_proto::etcd::etcdserverpb as pb;
use clap::Subcommand;

use super::connect;
use super::endpoint;
use super::failure::{BAD_FEATURE, Failure, INVALID_INPUT};
use super::flags::Flags;
use super::report::Report;
use crate::mvcc::prefix_end;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Check the performance of the etcd cluster
    Perf(perf::Args),
    /// Check the memory usage of holding data for different workloads on a given server endpoint
    Datascale(datascale::Args),
}

/// What is done to the store once the figures are there.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct After {
    /// Compact storage with last revision after test is finished
    #[arg(long)]
    auto_compact: bool,
    /// Defragment storage after test is finished
    #[arg(long)]
    auto_defrag: bool,
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Perf(args) => perf::run(flags, args).await,
        Verb::Datascale(args) => datascale::run(flags, args).await,
    }
}

fn unknown_load(load: &str) -> Failure {
    Failure::new(BAD_FEATURE, format!("unknown load option {load}"))
}

/// The check deletes all under its prefix, so nothing may be there.
async fn refuse_used_prefix(flags: &Flags, prefix: &str) -> Result<(), Failure> {
    let mut kv = connect::kv(flags, connect::any(flags).await?);
    let (key, range_end) = range(prefix);
    let request = pb::RangeRequest { key, range_end, limit: 1, ..pb::RangeRequest::default() };
    if connect::ask(flags, kv.range(request)).await?.kvs.is_empty() {
        return Ok(());
    }
    let text = format!("prefix {prefix:?} has keys. Delete with 'etcdctl del --prefix {prefix}' first");
    Err(Failure::new(INVALID_INPUT, text))
}

async fn clean(flags: &Flags, prefix: &str, after: After) -> Result<(), Failure> {
    let mut kv = connect::kv(flags, connect::any(flags).await?);
    let (key, range_end) = range(prefix);
    let request = pb::DeleteRangeRequest { key, range_end, prev_kv: false };
    // Millions of keys may take longer than a command usually may.
    let deleted = kv.delete_range(request).await?.into_inner();
    let revision = deleted.header.as_ref().map_or(0, |header| header.revision);
    if after.auto_compact {
        println!("Compacting with revision {revision}");
        kv.compact(pb::CompactionRequest { revision, physical: true }).await?;
        println!("Compacted with revision {revision}");
    }
    if after.auto_defrag {
        for endpoint in &flags.endpoints {
            println!("Defragmenting {endpoint:?}");
            endpoint::maintenance(flags, endpoint).await?.defragment(pb::DefragmentRequest {}).await?;
            println!("Defragmented {endpoint:?}");
        }
    }
    Ok(())
}

fn range(prefix: &str) -> (bytes::Bytes, bytes::Bytes) {
    (prefix.to_owned().into(), prefix_end(prefix.as_bytes()).into())
}

/// Says what was refused, and whether anything was.
fn tell_errors(report: &Report) -> bool {
    if !report.errors.is_empty() {
        println!("FAIL: too many errors");
        for (error, count) in &report.errors {
            println!("FAIL: ERROR({error}) -> {count}");
        }
    }
    !report.errors.is_empty()
}
