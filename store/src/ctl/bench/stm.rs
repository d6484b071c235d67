//! `bench stm`: software transactional memory. A transaction reads keys, writes some of them back, and is done again if
//! what it read has changed; a sample is a transaction with all its attempts.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::compare::{CompareTarget, TargetUnion};
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::request_op::Request;
use bytes::Bytes;
use tonic::Status;

use super::{Bench, numbered};
use crate::ctl::connect::{self, Connection};
use crate::ctl::failure::Failure;
use crate::ctl::load;
use crate::ctl::progress::Progress;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read Committed (c), Repeatable Reads (r), Serializable (s), or Snapshot (ss)
    #[arg(long, default_value = "r")]
    isolation: String,
    /// Total unique keys accessible by the benchmark
    #[arg(long, default_value_t = 1)]
    keys: u64,
    /// Total number of completed STM transactions
    #[arg(long, default_value_t = 10_000)]
    total: u64,
    /// Number of keys to access per transaction
    #[arg(long, default_value_t = 1)]
    keys_per_txn: u64,
    /// Percentage of keys to overwrite per transaction
    #[arg(long, default_value_t = 50)]
    txn_wr_percent: u64,
    /// Value size of each STM put request
    #[arg(long, default_value_t = 8)]
    val_size: usize,
    /// Maximum STM transactions per second (0 is no limit)
    #[arg(long, default_value_t = 0)]
    rate: u64,
}

/// What makes a transaction start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isolation {
    /// Nothing.
    ReadCommitted,
    /// A key that was read has changed.
    RepeatableReads,
    /// Likewise, and all reads are of one revision.
    Serializable,
    /// Likewise, and nobody else has written what is written: here that is always among what was read.
    SerializableSnapshot,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    isolation: Isolation,
    keys: u64,
    keys_per_txn: u64,
    writes: u64,
    value_bytes: usize,
}

pub async fn run(bench: &Bench<'_>, args: Args) -> Result<(), Failure> {
    let isolation = match args.isolation.as_str() {
        "c" => Isolation::ReadCommitted,
        "r" => Isolation::RepeatableReads,
        "s" => Isolation::Serializable,
        "ss" => Isolation::SerializableSnapshot,
        other => {
            return Err(Failure::bad_args(format!(
                "the isolation {other:?} is not known; use c, r, s or ss"
            )));
        }
    };
    if args.txn_wr_percent > 100 || args.keys_per_txn > args.keys {
        let text = "--txn-wr-percent is at most 100, and --keys-per-txn at most --keys";
        return Err(Failure::bad_args(text));
    }
    let shape = Shape {
        isolation,
        keys: args.keys,
        keys_per_txn: args.keys_per_txn,
        writes: (args.keys_per_txn * args.txn_wr_percent).div_ceil(100),
        value_bytes: args.val_size,
    };
    let flags = bench.flags.clone();
    let plan = bench.plan(args.total, args.rate);
    let progress = Progress::new("stm", args.total);
    let report = load::run(plan, &bench.connections, progress, move |connection, _| {
        let kv = connect::kv(&flags, connection);
        async move { transaction(kv, shape).await }
    })
    .await;
    bench.tell(&report)
}

async fn transaction(mut kv: KvClient<Connection>, shape: Shape) -> Result<(), Status> {
    let start = rand::random_range(0..shape.keys);
    let keys: Vec<Bytes> = (0..shape.keys_per_txn).map(|at| numbered((start + at) % shape.keys, 8)).collect();
    loop {
        let seen = read(&mut kv, &keys, shape.isolation).await?;
        let puts = keys.iter().take(shape.writes as usize).map(|key| pb::RequestOp {
            request: Some(Request::RequestPut(pb::PutRequest {
                key: key.clone(),
                value: vec![b'v'; shape.value_bytes].into(),
                ..pb::PutRequest::default()
            })),
        });
        let compare = if shape.isolation == Isolation::ReadCommitted { Vec::new() } else { seen };
        let request = pb::TxnRequest { compare, success: puts.collect(), failure: Vec::new() };
        if kv.txn(request).await?.into_inner().succeeded {
            return Ok(());
        }
    }
}

/// That each key is still as it was read.
async fn read(
    kv: &mut KvClient<Connection>,
    keys: &[Bytes],
    isolation: Isolation,
) -> Result<Vec<pb::Compare>, Status> {
    let one_revision = matches!(isolation, Isolation::Serializable | Isolation::SerializableSnapshot);
    let mut revision = 0;
    let mut unchanged = Vec::new();
    for key in keys {
        let request = pb::RangeRequest { key: key.clone(), revision, ..pb::RangeRequest::default() };
        let answer = kv.range(request).await?.into_inner();
        let now = answer.header.as_ref().map_or(0, |header| header.revision);
        if one_revision && revision == 0 {
            revision = now;
        }
        let modified = answer.kvs.first().map_or(0, |kv| kv.mod_revision);
        unchanged.push(same(key, modified));
    }
    Ok(unchanged)
}

fn same(key: &Bytes, modified: i64) -> pb::Compare {
    pb::Compare {
        target: CompareTarget::Mod as i32,
        key: key.clone(),
        target_union: Some(TargetUnion::ModRevision(modified)),
        ..pb::Compare::default()
    }
}
