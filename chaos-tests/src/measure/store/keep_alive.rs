//! Lease keep-alives: one lease and one stream per client, each waits for the answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use balsa_proto::etcd::etcdserverpb::{LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest};
use prost::Message;

use super::line::{Event, Line};
use super::load::CLIENTS_PER_LINE;
use super::sample::Sample;
use super::wire::{self, Client};

const TTL_SECONDS: i64 = 600;

pub async fn run(endpoint: &str, streams: usize, round: Duration) -> Result<Sample> {
    let mut client = Client::connect(endpoint, 1).await?.remove(0);
    let mut lines = Vec::new();
    for at in (0..streams).step_by(CLIENTS_PER_LINE) {
        let mut requests = Vec::new();
        for _ in 0..CLIENTS_PER_LINE.min(streams - at) {
            let grant = LeaseGrantRequest { ttl: TTL_SECONDS, ..LeaseGrantRequest::default() };
            let lease: LeaseGrantResponse = client.ask(wire::LEASE_GRANT, &grant).await?;
            requests.push(LeaseKeepAliveRequest { id: lease.id }.encode_to_vec());
        }
        lines.push((Line::open(endpoint).await?, requests));
    }
    let started = Instant::now();
    let deadline = started + round;
    let workers: Vec<_> =
        lines.into_iter().map(|(line, requests)| tokio::spawn(work(line, requests, deadline))).collect();
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.append(&mut worker.await.context("a client panicked")??);
    }
    Ok(Sample::of(latencies, started.elapsed()))
}

/// One stream for each of the requests.
async fn work(mut line: Line, requests: Vec<Vec<u8>>, deadline: Instant) -> Result<Vec<Duration>> {
    let mut streams = HashMap::new();
    for request in requests {
        let stream = line.begin(wire::LEASE_KEEP_ALIVE);
        line.say(stream, &request)?;
        streams.insert(stream, (request, Instant::now()));
    }
    let mut latencies = Vec::new();
    while !streams.is_empty() {
        line.flush().await?;
        line.read().await?;
        while let Some(event) = line.take_event()? {
            let Event::Message(stream, _) = event else { bail!("a stream ended") };
            let (request, asked) = streams.get_mut(&stream).context("a stream is unknown")?;
            latencies.push(asked.elapsed());
            *asked = Instant::now();
            if *asked < deadline {
                line.say(stream, request)?;
            } else {
                streams.remove(&stream);
            }
        }
    }
    Ok(latencies)
}
