//! `bench watch-latency`: from the start of a put until its event is with every watcher.

use std::time::{Duration, Instant};

use balsa_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use tonic::Status;

use super::watchers::{self, WatchStream};
use super::{Bench, numbered};
use crate::ctl::failure::Failure;
use crate::ctl::progress::Progress;
use crate::ctl::report::Report;
use crate::ctl::{connect, say};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Total watch streams
    #[arg(long, default_value_t = 10)]
    streams: usize,
    /// Total watchers per stream
    #[arg(long, default_value_t = 10)]
    watchers_per_stream: usize,
    /// PrevKV enabled on watch requests
    #[arg(long)]
    prevkv: bool,
    /// Total number of put requests
    #[arg(long, default_value_t = 10_000)]
    put_total: u64,
    /// Number of keys to put per second (0 is no limit)
    #[arg(long, default_value_t = 100)]
    put_rate: u64,
    /// Key size of watch response
    #[arg(long, default_value_t = 256)]
    key_size: usize,
    /// Value size of watch response
    #[arg(long, default_value_t = 32)]
    val_size: usize,
}

pub async fn run(bench: &Bench<'_>, args: Args) -> Result<(), Failure> {
    let key = numbered(rand::random(), args.key_size);
    let mut streams = watchers::open(bench, args.streams);
    for stream in &mut streams {
        for _ in 0..args.watchers_per_stream {
            let request = pb::WatchCreateRequest {
                key: key.clone(),
                prev_kv: args.prevkv,
                ..pb::WatchCreateRequest::default()
            };
            stream.create(request).await?;
        }
    }
    let (puts, events) = measure(bench, &mut streams, &args, key).await?;
    say("\nPut summary:\n")?;
    bench.tell(&puts)?;
    say("\nWatch events summary:\n")?;
    bench.tell(&events)
}

/// One put at a time, at the rate: the next waits until the last event of the one before is there.
async fn measure(
    bench: &Bench<'_>,
    streams: &mut [WatchStream],
    args: &Args,
    key: Bytes,
) -> Result<(Report, Report), Failure> {
    let mut kv = connect::kv(bench.flags, bench.connections[0].clone());
    let progress = Progress::new("put", args.put_total);
    let value = Bytes::from(vec![b'v'; args.val_size]);
    let (mut puts, mut events) = (Report::default(), Report::default());
    let began = Instant::now();
    for number in 0..args.put_total {
        if args.put_rate > 0 {
            let due = Duration::from_secs_f64(number as f64 / args.put_rate as f64);
            tokio::time::sleep_until((began + due).into()).await;
        }
        let started = began.elapsed();
        let request = pb::PutRequest { key: key.clone(), value: value.clone(), ..pb::PutRequest::default() };
        let put = async {
            let outcome = kv.put(request).await.map(drop);
            (outcome, began.elapsed() - started)
        };
        let arrivals = streams.iter_mut().map(|stream| arrive(stream, args.watchers_per_stream, began));
        let ((outcome, took), arrivals) = futures::join!(put, futures::future::join_all(arrivals));
        outcome.clone()?;
        puts.record(started, took, outcome);
        for arrived in arrivals {
            for at in arrived? {
                events.record(started, at.saturating_sub(started), Ok(()));
            }
        }
        progress.add(1);
    }
    puts.total = began.elapsed();
    events.total = puts.total;
    Ok((puts, events))
}

/// When each watcher's event came.
async fn arrive(stream: &mut WatchStream, watchers: usize, began: Instant) -> Result<Vec<Duration>, Status> {
    let mut arrived = Vec::with_capacity(watchers);
    while arrived.len() < watchers {
        let events = stream.next().await?.events.len();
        arrived.extend(std::iter::repeat_n(began.elapsed(), events));
    }
    Ok(arrived)
}
