//! `bench txn-put` and `bench txn-mixed`: the same work as puts and ranges, inside transactions.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::request_op::Request;

use super::{Bench, Keys, range};
use crate::ctl::failure::Failure;
use crate::ctl::progress::Progress;
use crate::ctl::{connect, load};

#[derive(Debug, clap::Args)]
pub struct PutArgs {
    /// Key size of txn put
    #[arg(long, default_value_t = 8)]
    key_size: usize,
    /// Value size of txn put
    #[arg(long, default_value_t = 8)]
    val_size: usize,
    /// Number of puts per txn
    #[arg(long, default_value_t = 1)]
    txn_ops: u64,
    /// Maximum txns per second (0 is no limit)
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Total number of txn requests
    #[arg(long, default_value_t = 10_000)]
    total: u64,
    /// Maximum possible keys
    #[arg(long, default_value_t = 1)]
    key_space_size: u64,
}

#[derive(Debug, clap::Args)]
pub struct MixedArgs {
    /// The key, and where the range ends; without them, the keys that are put
    #[arg(value_name = "KEY [END-RANGE]")]
    words: Vec<String>,
    /// Key size of mixed txn
    #[arg(long, default_value_t = 8)]
    key_size: usize,
    /// Value size of mixed txn
    #[arg(long, default_value_t = 8)]
    val_size: usize,
    /// Maximum txns per second (0 is no limit)
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Total number of txn requests
    #[arg(long, default_value_t = 10_000)]
    total: u64,
    /// Maximum possible keys
    #[arg(long, default_value_t = 1)]
    key_space_size: u64,
    /// Linearizable(l) or Serializable(s)
    #[arg(long, default_value = "l")]
    consistency: String,
    /// Limit the number of keys returned (0 is no limit)
    #[arg(long, default_value_t = 1_000)]
    limit: i64,
    /// Read/write ops ratio
    #[arg(long, default_value_t = 1.0)]
    rw_ratio: f64,
}

pub async fn run_put(bench: &Bench<'_>, args: PutArgs) -> Result<(), Failure> {
    if args.txn_ops > args.key_space_size {
        let text = format!(
            "--txn-ops {} needs as many different keys: raise --key-space-size {}",
            args.txn_ops, args.key_space_size
        );
        return Err(Failure::bad_args(text));
    }
    let keys = Keys { bytes: args.key_size, space: args.key_space_size, sequential: true };
    let (flags, ops, value_bytes) = (bench.flags.clone(), args.txn_ops, args.val_size);
    let plan = bench.plan(args.total, args.rate);
    let progress = Progress::new("txn-put", args.total);
    let report = load::run(plan, &bench.connections, progress, move |connection, number| {
        let mut kv = connect::kv(&flags, connection);
        let puts = (0..ops).map(|op| Request::RequestPut(keys.put(number * ops + op, value_bytes)));
        let request = txn(puts.collect());
        async move { kv.txn(request).await.map(drop) }
    })
    .await;
    bench.tell(&report)
}

pub async fn run_mixed(bench: &Bench<'_>, args: MixedArgs) -> Result<(), Failure> {
    let serializable = range::is_serializable(&args.consistency)?;
    let keys = Keys { bytes: args.key_size, space: args.key_space_size, sequential: false };
    let reads = args.rw_ratio / (1.0 + args.rw_ratio);
    let (flags, value_bytes, limit) = (bench.flags.clone(), args.val_size, args.limit);
    let plan = bench.plan(args.total, args.rate);
    let progress = Progress::new("txn-mixed", args.total);
    let report = load::run(plan, &bench.connections, progress, move |connection, number| {
        let mut kv = connect::kv(&flags, connection);
        let op = if rand::random::<f64>() < reads {
            let key = args.words.first().map_or_else(|| keys.key(number), |key| key.clone().into());
            let range_end = args.words.get(1).cloned().unwrap_or_default().into();
            Request::RequestRange(pb::RangeRequest {
                key,
                range_end,
                limit,
                serializable,
                ..pb::RangeRequest::default()
            })
        } else {
            Request::RequestPut(keys.put(number, value_bytes))
        };
        let request = txn(vec![op]);
        async move { kv.txn(request).await.map(drop) }
    })
    .await;
    bench.tell(&report)
}

fn txn(ops: Vec<Request>) -> pb::TxnRequest {
    let success = ops.into_iter().map(|op| pb::RequestOp { request: Some(op) }).collect();
    pb::TxnRequest { success, ..pb::TxnRequest::default() }
}
