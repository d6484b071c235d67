//! Clients that each wait for their answer before they ask again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use balsa_proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use balsa_proto::etcd::etcdserverpb::request_op::Request as OpRequest;
use balsa_proto::etcd::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
};
use bytes::Bytes;
use prost::Message;

use super::sample::Sample;
use super::wire::{self, Client};

/// Of etcd's own benchmark tool, and of a small Kubernetes object.
pub const VALUE_BYTES: usize = 256;
/// Keys that puts, updates and gets of one key go round.
const KEYS: u64 = 10_000;
/// Keys that lists, pages and counts see; nothing else touches them.
pub const LIST_KEYS: u64 = 10_000;
const PAGE_KEYS: i64 = 500;
/// Puts of one transaction while a state is filled; stock allows 128.
const FILL_TXN_PUTS: u64 = 100;
const FILL_CLIENTS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Put,
    /// A get, and a transaction that puts if the key is still what the get saw.
    Update,
    Get,
    SerializableGet,
    List,
    Page,
    Count,
}

/// One round: `clients` go on for `round`.
pub async fn run(endpoint: &str, operation: Operation, clients: usize, round: Duration) -> Result<Sample> {
    let next = Arc::new(AtomicU64::new(0));
    let clients = Client::connect(endpoint, clients).await?;
    let started = Instant::now();
    let deadline = started + round;
    let workers: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(work(client, operation, next.clone(), deadline)))
        .collect();
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.append(&mut worker.await.context("a client panicked")??);
    }
    Ok(Sample::of(latencies, started.elapsed()))
}

async fn work(
    mut client: Client,
    operation: Operation,
    next: Arc<AtomicU64>,
    deadline: Instant,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let asked = Instant::now();
        if asked >= deadline {
            return Ok(latencies);
        }
        let number = next.fetch_add(1, Ordering::Relaxed);
        request(&mut client, operation, number).await?;
        latencies.push(asked.elapsed());
    }
}

async fn request(client: &mut Client, operation: Operation, number: u64) -> Result<()> {
    let one = key("bench/", number % KEYS);
    match operation {
        Operation::Put => drop(client.call(wire::PUT, put(one).encode_to_vec().into()).await?),
        Operation::Update => update(client, one).await?,
        Operation::Get | Operation::SerializableGet => {
            let serializable = operation == Operation::SerializableGet;
            let get = RangeRequest { key: one, serializable, ..RangeRequest::default() };
            drop(client.call(wire::RANGE, get.encode_to_vec().into()).await?);
        }
        Operation::List => {
            let answer = client.call(wire::RANGE, list().encode_to_vec().into()).await?;
            ensure!(answer.len() as u64 > LIST_KEYS * VALUE_BYTES as u64, "the list is not whole");
        }
        Operation::Page => {
            let page = RangeRequest { limit: PAGE_KEYS, ..list() };
            drop(client.call(wire::RANGE, page.encode_to_vec().into()).await?);
        }
        Operation::Count => {
            let count = RangeRequest { count_only: true, ..list() };
            drop(client.call(wire::RANGE, count.encode_to_vec().into()).await?);
        }
    }
    Ok(())
}

/// Tries again when another client was faster, as a user must.
async fn update(client: &mut Client, key: Bytes) -> Result<()> {
    loop {
        let get = RangeRequest { key: key.clone(), ..RangeRequest::default() };
        let found: RangeResponse = client.ask(wire::RANGE, &get).await?;
        let seen = found.kvs.first().map_or(0, |kv| kv.mod_revision);
        let unchanged = Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Mod as i32,
            key: key.clone(),
            target_union: Some(TargetUnion::ModRevision(seen)),
            ..Compare::default()
        };
        let txn = TxnRequest {
            compare: vec![unchanged],
            success: vec![RequestOp { request: Some(OpRequest::RequestPut(put(key.clone()))) }],
            failure: Vec::new(),
        };
        let answer: TxnResponse = client.ask(wire::TXN, &txn).await?;
        if answer.succeeded {
            return Ok(());
        }
    }
}

/// Puts `count` keys below `prefix`.
pub async fn fill(endpoint: &str, prefix: &'static str, count: u64) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let clients = Client::connect(endpoint, FILL_CLIENTS).await?;
    let workers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let next = next.clone();
            tokio::spawn(async move {
                loop {
                    let from = next.fetch_add(FILL_TXN_PUTS, Ordering::Relaxed);
                    if from >= count {
                        return anyhow::Ok(());
                    }
                    let puts = (from..count.min(from + FILL_TXN_PUTS)).map(|number| put(key(prefix, number)));
                    let success = puts.map(|put| RequestOp { request: Some(OpRequest::RequestPut(put)) });
                    let txn = TxnRequest { success: success.collect(), ..TxnRequest::default() };
                    client.call(wire::TXN, txn.encode_to_vec().into()).await?;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.context("a client panicked")??;
    }
    Ok(())
}

fn key(prefix: &str, number: u64) -> Bytes {
    format!("{prefix}{number:010}").into()
}

fn put(key: Bytes) -> PutRequest {
    PutRequest { key, value: Bytes::from_static(&[b'x'; VALUE_BYTES]), ..PutRequest::default() }
}

fn list() -> RangeRequest {
    RangeRequest { key: "list/".into(), range_end: "list0".into(), ..RangeRequest::default() }
}
