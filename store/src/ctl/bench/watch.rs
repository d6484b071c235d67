//! `bench watch`: how fast watchers are created, and how fast events come to all of them.

use std::time::Instant;

use balsa_proto::etcd::etcdserverpb as pb;
use tonic::Status;

use super::watchers::{self, WatchStream};
use super::{Bench, Keys, numbered};
use crate::ctl::failure::Failure;
use crate::ctl::progress::Progress;
use crate::ctl::report::Report;
use crate::ctl::{connect, load, say};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Total watch streams
    #[arg(long, default_value_t = 10)]
    streams: usize,
    /// Total watchers per stream
    #[arg(long, default_value_t = 100)]
    watch_per_stream: usize,
    /// Total number of keys to be watched
    #[arg(long, default_value_t = 1)]
    watched_key_total: u64,
    /// Number of keys to put per second (0 is no limit)
    #[arg(long, default_value_t = 0)]
    put_rate: u64,
    /// Number of put requests
    #[arg(long, default_value_t = 1_000)]
    put_total: u64,
    /// Key size of watch request
    #[arg(long, default_value_t = 32)]
    key_size: usize,
}

pub async fn run(bench: &Bench<'_>, args: Args) -> Result<(), Failure> {
    let watched = args.watched_key_total.max(1);
    let mut streams = watchers::open(bench, args.streams);
    say("\nWatch creation summary:\n")?;
    bench.tell(&create(&mut streams, &args, watched).await)?;

    // Watcher n watches key n mod `watched`, so a put of key k reaches those alone.
    let watchers = (streams.len() * args.watch_per_stream) as u64;
    let expected: u64 = (0..args.put_total).map(|put| watchers_of(put % watched, watchers, watched)).sum();
    say("\nWatch events received summary:\n")?;
    bench.tell(&deliver(bench, streams, &args, expected).await)
}

fn watchers_of(key: u64, watchers: u64, watched: u64) -> u64 {
    watchers / watched + u64::from(key < watchers % watched)
}

async fn create(streams: &mut [WatchStream], args: &Args, watched: u64) -> Report {
    let began = Instant::now();
    let total = streams.len() * args.watch_per_stream;
    let progress = Progress::new("create watchers", total as u64);
    let creations = streams.iter_mut().enumerate().map(|(number, stream)| {
        let first = number * args.watch_per_stream;
        let progress = &progress;
        async move {
            let mut report = Report::default();
            for watcher in first..first + args.watch_per_stream {
                let key = numbered(watcher as u64 % watched, args.key_size);
                let asked = began.elapsed();
                let request = pb::WatchCreateRequest { key, ..pb::WatchCreateRequest::default() };
                let outcome = stream.create(request).await;
                report.record(asked, began.elapsed() - asked, outcome);
                progress.add(1);
            }
            report
        }
    });
    let mut report = Report::default();
    futures::future::join_all(creations).await.into_iter().for_each(|one| report.merge(one));
    report.total = began.elapsed();
    report
}

/// Puts, and reads until all events are there. A sample is one event; it took since the events began to flow to its stream.
async fn deliver(bench: &Bench<'_>, streams: Vec<WatchStream>, args: &Args, expected: u64) -> Report {
    let began = Instant::now();
    let share = args.watch_per_stream as u64;
    let watched = args.watched_key_total.max(1);
    let readers: Vec<_> = streams
        .into_iter()
        .enumerate()
        .map(|(number, stream)| {
            // The events that this stream's own watchers are owed.
            let first = number as u64 * share;
            let owed =
                (first..first + share).map(|watcher| puts_of(watcher % watched, args.put_total, watched));
            tokio::spawn(read(stream, owed.sum(), began))
        })
        .collect();
    let keys = Keys { bytes: args.key_size, space: watched, sequential: true };
    let flags = bench.flags.clone();
    let plan = bench.plan(args.put_total, args.put_rate);
    let progress = Progress::new("put", args.put_total);
    let puts = load::run(plan, &bench.connections, progress, move |connection, number| {
        let mut kv = connect::kv(&flags, connection);
        let request = keys.put(number, 8);
        async move { kv.put(request).await.map(drop) }
    })
    .await;
    let mut report = Report { errors: puts.errors, ..Report::default() };
    for reader in readers {
        report.merge(reader.await.expect("a reader does not panic"));
    }
    report.total = began.elapsed();
    let missing = expected.saturating_sub(report.samples.len() as u64);
    if missing > 0 {
        report.errors.insert("events that did not come".into(), missing);
    }
    report
}

fn puts_of(key: u64, puts: u64, watched: u64) -> u64 {
    puts / watched + u64::from(key < puts % watched)
}

async fn read(mut stream: WatchStream, owed: u64, began: Instant) -> Report {
    let mut report = Report::default();
    let mut before = began.elapsed();
    let mut seen = 0;
    while seen < owed {
        match stream.next().await {
            Ok(response) => {
                let now = began.elapsed();
                for _ in &response.events {
                    report.record(before, now - before, Ok(()));
                }
                seen += response.events.len() as u64;
                before = now;
            }
            Err(status) => {
                report.record(before, began.elapsed() - before, Err::<(), Status>(status));
                return report;
            }
        }
    }
    report
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_event_is_counted_once_from_either_side() {
        for (watchers, watched, puts) in [(10, 1, 5), (10, 3, 7), (2, 5, 9)] {
            let by_put: u64 = (0..puts).map(|put| super::watchers_of(put % watched, watchers, watched)).sum();
            let by_watcher: u64 = (0..watchers).map(|one| super::puts_of(one % watched, puts, watched)).sum();
            assert_eq!(by_put, by_watcher);
        }
    }
}
