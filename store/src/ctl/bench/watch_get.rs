//! `bench watch-get`: watchers that begin in the past catch up while gets go on: does the one starve the other?

use std::time::Instant;

use balsa_proto::etcd::etcdserverpb as pb;

use super::watchers::{self, WatchStream};
use super::{Bench, numbered};
use crate::ctl::failure::Failure;
use crate::ctl::progress::Progress;
use crate::ctl::report::Report;
use crate::ctl::{connect, say};

/// Watchers that share a stream.
const WATCHERS_PER_STREAM: usize = 100;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of watchers that catch up
    #[arg(long, default_value_t = 10_000)]
    watchers: usize,
    /// Number of events per watcher
    #[arg(long, default_value_t = 8)]
    events: u64,
}

pub async fn run(bench: &Bench<'_>, args: Args) -> Result<(), Failure> {
    let key = numbered(rand::random(), 16);
    let mut kv = connect::kv(bench.flags, bench.connections[0].clone());
    let mut first = 0;
    for _ in 0..args.events.max(1) {
        let request = pb::PutRequest { key: key.clone(), value: "value".into(), ..pb::PutRequest::default() };
        let put = kv.put(request).await?.into_inner();
        let revision = put.header.map_or(0, |header| header.revision);
        first = if first == 0 { revision } else { first };
    }
    let streams = watchers::open(bench, args.watchers.div_ceil(WATCHERS_PER_STREAM));
    let began = Instant::now();
    let progress = Progress::new("catch up", args.watchers as u64);
    let catching_up = futures::future::join_all(streams.into_iter().enumerate().map(|(number, stream)| {
        let share = WATCHERS_PER_STREAM.min(args.watchers - number * WATCHERS_PER_STREAM);
        let request = pb::WatchCreateRequest {
            key: key.clone(),
            start_revision: first,
            ..pb::WatchCreateRequest::default()
        };
        catch_up(stream, request, share, args.events.max(1), began, &progress)
    }));
    let mut gets = Report::default();
    let getting = async {
        loop {
            let asked = began.elapsed();
            let request = pb::RangeRequest { key: key.clone(), ..pb::RangeRequest::default() };
            let outcome = kv.range(request).await.map(drop);
            gets.record(asked, began.elapsed() - asked, outcome);
        }
    };
    let mut events = Report::default();
    tokio::select! {
        caught = catching_up => caught.into_iter().for_each(|one| events.merge(one)),
        () = getting => unreachable!("it asks until it is dropped"),
    }
    (events.total, gets.total) = (began.elapsed(), began.elapsed());
    say("\nGet during watch summary:\n")?;
    bench.tell(&gets)?;
    say("\nWatch catch-up summary:\n")?;
    bench.tell(&events)
}

/// A sample is one event; it took since its watchers were asked for.
async fn catch_up(
    mut stream: WatchStream,
    request: pb::WatchCreateRequest,
    watchers: usize,
    events: u64,
    began: Instant,
    progress: &Progress,
) -> Report {
    let mut report = Report::default();
    let asked = began.elapsed();
    let mut owed = watchers as u64 * events;
    for _ in 0..watchers {
        let came = match stream.create_counting(request.clone()).await {
            Ok(events) => events,
            Err(status) => {
                report.record(asked, began.elapsed() - asked, Err(status));
                return report;
            }
        };
        owed = owed.saturating_sub(came);
        progress.add(1);
    }
    let early = watchers as u64 * events - owed;
    (0..early).for_each(|_| report.record(asked, began.elapsed() - asked, Ok(())));
    while owed > 0 {
        match stream.next().await {
            Ok(response) => {
                let took = began.elapsed() - asked;
                response.events.iter().for_each(|_| report.record(asked, took, Ok(())));
                owed = owed.saturating_sub(response.events.len() as u64);
            }
            Err(status) => {
                report.record(asked, began.elapsed() - asked, Err(status));
                return report;
            }
        }
    }
    report
}
