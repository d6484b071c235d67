//! `bench put`: puts of fixed-size keys and values, with compactions in between if asked for.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::{CompactionRequest, RangeRequest};

use super::{Bench, Keys};
use crate::ctl::failure::Failure;
use crate::ctl::progress::Progress;
use crate::ctl::{connect, duration, endpoint, load};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Key size of put request
    #[arg(long, default_value_t = 8)]
    key_size: usize,
    /// Value size of put request
    #[arg(long, default_value_t = 8)]
    val_size: usize,
    /// Maximum puts per second (0 is no limit)
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Total number of put requests
    #[arg(long, default_value_t = 10_000)]
    total: u64,
    /// Maximum possible keys
    #[arg(long, default_value_t = 1)]
    key_space_size: u64,
    /// Use sequential keys
    #[arg(long)]
    sequential_keys: bool,
    /// Interval to compact database (do not duplicate this with etcd's 'auto-compaction-retention' flag)
    #[arg(long, default_value = "0", value_parser = duration::parse)]
    compact_interval: Duration,
    /// Delta between current revision and compact revision
    #[arg(long, default_value_t = 1_000)]
    compact_index_delta: i64,
    /// 'true' to check hashkv
    #[arg(long)]
    check_hashkv: bool,
}

pub async fn run(bench: &Bench<'_>, args: Args) -> Result<(), Failure> {
    let keys = Keys { bytes: args.key_size, space: args.key_space_size, sequential: args.sequential_keys };
    let (flags, value_bytes) = (bench.flags.clone(), args.val_size);
    let plan = bench.plan(args.total, args.rate);
    let load =
        load::run(plan, &bench.connections, Progress::new("put", args.total), move |connection, number| {
            let mut kv = connect::kv(&flags, connection);
            let request = keys.put(number, value_bytes);
            async move { kv.put(request).await.map(drop) }
        });
    let report = if args.compact_interval.is_zero() {
        load.await
    } else {
        tokio::select! {
            report = load => report,
            failed = compact(bench, args.compact_interval, args.compact_index_delta) => {
                return failed;
            }
        }
    };
    bench.tell(&report)?;
    if args.check_hashkv { check_hashes(bench).await } else { Ok(()) }
}

/// Again and again; ends only by failing.
async fn compact(bench: &Bench<'_>, every: Duration, delta: i64) -> Result<(), Failure> {
    let mut kv = connect::kv(bench.flags, bench.connections[0].clone());
    loop {
        tokio::time::sleep(every).await;
        let request = RangeRequest { key: "foo".into(), ..RangeRequest::default() };
        let answer = kv.range(request).await?.into_inner();
        let revision = answer.header.map_or(0, |header| header.revision) - delta;
        if revision > 0 {
            // Somebody else may have compacted further, which is as good.
            let _ = kv.compact(CompactionRequest { revision, physical: false }).await;
        }
    }
}

async fn check_hashes(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut hashes = Vec::new();
    for endpoint in &bench.flags.endpoints {
        let hash = endpoint::hash_kv_of(bench.flags, endpoint, 0).await?;
        println!("HashKV of {endpoint}: {}", hash.hash);
        hashes.push(hash.hash);
    }
    match hashes.windows(2).all(|pair| pair[0] == pair[1]) {
        true => Ok(()),
        false => Err(Failure::error("the members' hashes differ")),
    }
}
