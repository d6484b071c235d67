//! `bench range`: one key or a range of them, whole, in pages, or as a stream.

use balsa_proto::etcd::etcdserverpb::RangeRequest;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use tonic::Status;

use super::Bench;
use crate::ctl::connect::{self, Connection};
use crate::ctl::failure::Failure;
use crate::ctl::get::{Spread, keys};
use crate::ctl::load;
use crate::ctl::progress::Progress;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key, and where the range ends
    #[arg(value_name = "KEY [END-RANGE]")]
    words: Vec<String>,
    /// Maximum range requests per second (0 is no limit)
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Total number of range requests
    #[arg(long, default_value_t = 10_000)]
    total: u64,
    /// Linearizable(l) or Serializable(s)
    #[arg(long, default_value = "l")]
    consistency: String,
    /// Maximum number of results to return from range request (0 is no limit)
    #[arg(long, default_value_t = 0)]
    limit: i64,
    /// Only returns the count of keys
    #[arg(long)]
    count_only: bool,
    /// Only returns the keys
    #[arg(long)]
    keys_only: bool,
    /// Range over all keys with this prefix
    #[arg(long)]
    prefix: bool,
    /// Ask for a stream of chunks (a server of 3.7, or ours)
    #[arg(long)]
    stream: bool,
    /// One request is the whole range in pages of --limit
    #[arg(long)]
    paginate: bool,
}

pub async fn run(bench: &Bench<'_>, args: Args) -> Result<(), Failure> {
    if args.paginate && (args.limit <= 0 || args.stream) {
        return Err(Failure::bad_args("--paginate needs a --limit above 0, and goes without --stream"));
    }
    let usage = "bench range needs a key and an optional end of the range";
    let (key, range_end) = keys(&args.words, Spread { prefix: args.prefix, from_key: false }, usage)?;
    let request = RangeRequest {
        key: key.into(),
        range_end: range_end.into(),
        limit: args.limit,
        serializable: is_serializable(&args.consistency)?,
        count_only: args.count_only,
        keys_only: args.keys_only,
        ..RangeRequest::default()
    };
    let (flags, how) = (bench.flags.clone(), How { stream: args.stream, paginate: args.paginate });
    let plan = bench.plan(args.total, args.rate);
    let progress = Progress::new("range", args.total);
    let report = load::run(plan, &bench.connections, progress, move |connection, _| {
        let kv = connect::kv(&flags, connection);
        let request = request.clone();
        async move { ask(kv, request, how).await }
    })
    .await;
    bench.tell(&report)
}

#[derive(Debug, Clone, Copy)]
struct How {
    stream: bool,
    paginate: bool,
}

async fn ask(mut kv: KvClient<Connection>, mut request: RangeRequest, how: How) -> Result<(), Status> {
    if how.stream {
        let mut chunks = kv.range_stream(request).await?.into_inner();
        while chunks.message().await?.is_some() {}
        return Ok(());
    }
    loop {
        let page = kv.range(request.clone()).await?.into_inner();
        let Some(last) = page.kvs.last().filter(|_| how.paginate && page.more) else { return Ok(()) };
        request.key = [&last.key[..], &[0]].concat().into();
        // All pages are of one moment.
        request.revision = page.header.as_ref().map_or(0, |header| header.revision).max(request.revision);
    }
}

pub fn is_serializable(consistency: &str) -> Result<bool, Failure> {
    match consistency {
        "l" => Ok(false),
        "s" => Ok(true),
        other => Err(Failure::bad_args(format!("the consistency {other:?} is not known; use l or s"))),
    }
}
