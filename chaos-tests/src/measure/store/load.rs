//! Clients that each wait for their answer before they ask again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use balsa_proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use balsa_proto::etcd::etcdserverpb::request_op::Request as OpRequest;
use balsa_proto::etcd::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
};
use bytes::Bytes;
use prost::Message;

use super::line::{Event, Line};
use super::sample::Sample;
use super::wire::{self, Client};

/// Of etcd's own benchmark tool, and of a small Kubernetes object.
pub const VALUE_BYTES: usize = 256;
const VALUE: Bytes = Bytes::from_static(&[b'x'; VALUE_BYTES]);
/// Keys that puts, updates and gets of one key go round.
const KEYS: u64 = 10_000;
/// Keys that lists, pages and counts see; nothing else touches them.
pub const LIST_KEYS: u64 = 10_000;
const PAGE_KEYS: i64 = 500;
/// Puts of one transaction while a state is filled; stock allows 128.
const FILL_TXN_PUTS: u64 = 100;
/// Stock takes requests of up to 1.5 MiB.
const FILL_TXN_BYTES: u64 = 1 << 20;
const FILL_CLIENTS: usize = 16;
/// Clients that share one connection.
pub const CLIENTS_PER_LINE: usize = 16;

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
    let mut lines = Vec::new();
    while lines.len() * CLIENTS_PER_LINE < clients {
        lines.push(Line::open(endpoint).await?);
    }
    let started = Instant::now();
    let deadline = started + round;
    let workers: Vec<_> = lines
        .into_iter()
        .enumerate()
        .map(|(at, line)| {
            let sharing = CLIENTS_PER_LINE.min(clients - at * CLIENTS_PER_LINE);
            let new_caller =
                || Caller { operation, next: next.clone(), deadline, asked: started, step: Step::Begin };
            let callers = (0..sharing).map(|_| new_caller()).collect();
            tokio::spawn(work(line, callers))
        })
        .collect();
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.append(&mut worker.await.context("a client panicked")??);
    }
    Ok(Sample::of(latencies, started.elapsed()))
}

/// Drives the clients of one connection until each has had enough.
async fn work(mut line: Line, mut callers: Vec<Caller>) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut calls = Vec::with_capacity(callers.len());
    for (at, caller) in callers.iter_mut().enumerate() {
        if let Some((path, message)) = caller.begin() {
            calls.push((line.call(path, &message)?, at, None));
        }
    }
    while !calls.is_empty() {
        line.flush().await?;
        line.read().await?;
        while let Some(event) = line.take_event()? {
            let (Event::Message(stream, _) | Event::End(stream)) = &event;
            let place = calls.iter().position(|(call, ..)| call == stream).context("a call is unknown")?;
            if let Event::Message(_, answer) = event {
                calls[place].2 = Some(answer);
                continue;
            }
            let (_, at, answer) = calls.swap_remove(place);
            let caller = &mut callers[at];
            let follow_up = caller.take(&answer.context("a call failed")?)?;
            if follow_up.is_none() {
                latencies.push(caller.asked.elapsed());
            }
            if let Some((path, message)) = follow_up.or_else(|| caller.begin()) {
                calls.push((line.call(path, &message)?, at, None));
            }
        }
    }
    Ok(latencies)
}

type Call = (&'static str, Vec<u8>);

/// Who waits for an answer before the next question.
struct Caller {
    operation: Operation,
    next: Arc<AtomicU64>,
    deadline: Instant,
    asked: Instant,
    step: Step,
}

/// Where an update is, and of which key; the others have one step.
enum Step {
    Begin,
    Looked(Bytes),
    Wrote(Bytes),
}

impl Caller {
    /// `None` once the round is over.
    fn begin(&mut self) -> Option<Call> {
        self.asked = Instant::now();
        if self.asked >= self.deadline {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let key = key("bench/", number % KEYS);
        Some(match self.operation {
            Operation::Put => (wire::PUT, put(key).encode_to_vec()),
            Operation::Update => self.look(key),
            Operation::Get => get(key, false),
            Operation::SerializableGet => get(key, true),
            Operation::List => (wire::RANGE, list().encode_to_vec()),
            Operation::Page => (wire::RANGE, RangeRequest { limit: PAGE_KEYS, ..list() }.encode_to_vec()),
            Operation::Count => (wire::RANGE, RangeRequest { count_only: true, ..list() }.encode_to_vec()),
        })
    }

    fn look(&mut self, key: Bytes) -> Call {
        self.step = Step::Looked(key.clone());
        get(key, false)
    }

    /// What belongs to the same operation still.
    fn take(&mut self, answer: &[u8]) -> Result<Option<Call>> {
        match self.operation {
            Operation::Update => self.go_on(answer),
            Operation::List => {
                ensure!(answer.len() as u64 > LIST_KEYS * VALUE_BYTES as u64, "the list is not whole");
                Ok(None)
            }
            Operation::Put
            | Operation::Get
            | Operation::SerializableGet
            | Operation::Page
            | Operation::Count => Ok(None),
        }
    }

    /// An update looks again when another client was faster, as a user must.
    fn go_on(&mut self, answer: &[u8]) -> Result<Option<Call>> {
        match std::mem::replace(&mut self.step, Step::Begin) {
            Step::Begin => bail!("an answer came before its question"),
            Step::Looked(key) => {
                let found = RangeResponse::decode(answer).context("decode the answer")?;
                let seen = found.kvs.first().map_or(0, |kv| kv.mod_revision);
                self.step = Step::Wrote(key.clone());
                Ok(Some((wire::TXN, put_if_unchanged(key, seen).encode_to_vec())))
            }
            Step::Wrote(key) => {
                let outcome = TxnResponse::decode(answer).context("decode the answer")?;
                Ok((!outcome.succeeded).then(|| self.look(key)))
            }
        }
    }
}

fn get(key: Bytes, serializable: bool) -> Call {
    (wire::RANGE, RangeRequest { key, serializable, ..RangeRequest::default() }.encode_to_vec())
}

fn put_if_unchanged(key: Bytes, mod_revision: i64) -> TxnRequest {
    let unchanged = Compare {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Mod as i32,
        key: key.clone(),
        target_union: Some(TargetUnion::ModRevision(mod_revision)),
        ..Compare::default()
    };
    TxnRequest {
        compare: vec![unchanged],
        success: vec![RequestOp { request: Some(OpRequest::RequestPut(put(key))) }],
        failure: Vec::new(),
    }
}

/// Puts `count` keys below `prefix`.
pub async fn fill(endpoint: &str, prefix: &'static str, count: u64) -> Result<()> {
    fill_with(endpoint, prefix, count, VALUE).await
}

/// The same with another value; of a large one each transaction puts fewer.
pub async fn fill_with(endpoint: &str, prefix: &'static str, count: u64, value: Bytes) -> Result<()> {
    let txn_puts = (FILL_TXN_BYTES / value.len() as u64).clamp(1, FILL_TXN_PUTS);
    let next = Arc::new(AtomicU64::new(0));
    let clients = Client::connect(endpoint, FILL_CLIENTS).await?;
    let workers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let (next, value) = (next.clone(), value.clone());
            tokio::spawn(async move {
                loop {
                    let from = next.fetch_add(txn_puts, Ordering::Relaxed);
                    if from >= count {
                        return anyhow::Ok(());
                    }
                    let puts = (from..count.min(from + txn_puts)).map(|number| PutRequest {
                        key: key(prefix, number),
                        value: value.clone(),
                        ..PutRequest::default()
                    });
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

pub fn key(prefix: &str, number: u64) -> Bytes {
    format!("{prefix}{number:010}").into()
}

fn put(key: Bytes) -> PutRequest {
    PutRequest { key, value: VALUE, ..PutRequest::default() }
}

fn list() -> RangeRequest {
    RangeRequest { key: "list/".into(), range_end: "list0".into(), ..RangeRequest::default() }
}
