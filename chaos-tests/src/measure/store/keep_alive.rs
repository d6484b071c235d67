//! Lease keep-alives: one lease and one stream per client, each waits for the answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use balsa_proto::etcd::etcdserverpb::{LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest};
use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc;

use super::sample::Sample;
use super::wire::{self, Client};

const TTL_SECONDS: i64 = 600;

pub async fn run(endpoint: &str, streams: usize, round: Duration) -> Result<Sample> {
    let mut workers = Vec::with_capacity(streams);
    for mut client in Client::connect(endpoint, streams).await? {
        let grant = LeaseGrantRequest { ttl: TTL_SECONDS, ..LeaseGrantRequest::default() };
        let lease: LeaseGrantResponse = client.ask(wire::LEASE_GRANT, &grant).await?;
        workers.push((client, LeaseKeepAliveRequest { id: lease.id }));
    }
    let started = Instant::now();
    let deadline = started + round;
    let workers: Vec<_> = workers
        .into_iter()
        .map(|(client, request)| tokio::spawn(work(client, request.encode_to_vec().into(), deadline)))
        .collect();
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.append(&mut worker.await.context("a client panicked")??);
    }
    Ok(Sample::of(latencies, started.elapsed()))
}

async fn work(mut client: Client, request: Bytes, deadline: Instant) -> Result<Vec<Duration>> {
    let (requests, receiver) = mpsc::channel(1);
    requests.send(request.clone()).await.context("queue the first keep-alive")?;
    let mut asked = Instant::now();
    let mut answers = client.stream(wire::LEASE_KEEP_ALIVE, receiver).await?;
    let mut latencies = Vec::new();
    while asked < deadline {
        answers.message().await.context("keep alive")?.context("the stream ended")?;
        latencies.push(asked.elapsed());
        asked = Instant::now();
        requests.send(request.clone()).await.context("queue a keep-alive")?;
    }
    Ok(latencies)
}
