//! Watch fan-out: everybody watches one prefix, a few writers put keys below it, and every delivery is timed.
//!
//! The value of an event begins with the time of its put, so that a delivery knows its own age.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest};
use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use tokio::sync::mpsc;
use tonic::Streaming;

use super::load::VALUE_BYTES;
use super::sample::Sample;
use super::wire::{self, Client};

const WRITERS: usize = 16;
/// Fields of WatchResponse, Event and KeyValue.
const EVENTS: u32 = 11;
const KV: u32 = 2;
const VALUE: u32 = 5;

/// `watchers`, evenly on `streams`, each of which gets `events`.
pub async fn run(endpoint: &str, watchers: usize, streams: usize, events: usize) -> Result<Sample> {
    let epoch = Instant::now();
    let mut listeners = Vec::with_capacity(streams);
    for client in Client::connect(endpoint, streams).await? {
        listeners.push(open(client, watchers / streams).await?);
    }
    let started = Instant::now();
    let expected = watchers / streams * events;
    let listeners: Vec<_> = listeners
        .into_iter()
        // The sender of requests is kept: a stream whose requests end may be ended by the server.
        .map(|(requests, answers)| tokio::spawn(listen(answers, expected, epoch, requests)))
        .collect();
    write(endpoint, events, epoch).await?;
    let mut latencies = Vec::new();
    for listener in listeners {
        latencies.append(&mut listener.await.context("a listener panicked")??);
    }
    Ok(Sample::of(latencies, started.elapsed()))
}

async fn open(mut client: Client, watchers: usize) -> Result<(mpsc::Sender<Bytes>, Streaming<Bytes>)> {
    let (requests, receiver) = mpsc::channel(watchers);
    for _ in 0..watchers {
        let create = WatchCreateRequest {
            key: "fan/".into(),
            range_end: "fan0".into(),
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        requests.send(request.encode_to_vec().into()).await.context("queue a watch")?;
    }
    let mut answers = client.stream(wire::WATCH, receiver).await?;
    for _ in 0..watchers {
        answers.message().await.context("create a watch")?.context("the stream ended")?;
    }
    Ok((requests, answers))
}

async fn listen(
    mut answers: Streaming<Bytes>,
    expected: usize,
    epoch: Instant,
    _requests: mpsc::Sender<Bytes>,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(expected);
    while latencies.len() < expected {
        let message = answers.message().await.context("watch")?.context("the stream ended")?;
        let now = epoch.elapsed();
        for_each(&message, EVENTS, &mut |event| {
            for_each(event, KV, &mut |kv| {
                for_each(kv, VALUE, &mut |mut value| {
                    let sent = Duration::from_nanos(value.try_get_u64().unwrap_or(0));
                    latencies.push(now.saturating_sub(sent));
                    Ok(())
                })
            })
        })?;
    }
    ensure!(latencies.len() == expected, "more events came than were put");
    Ok(latencies)
}

/// Calls `visit` with each length-delimited field of that number.
fn for_each(mut message: &[u8], field: u32, visit: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    while !message.is_empty() {
        let (number, wire_type) = decode_key(&mut message).context("read a field")?;
        let number_or_length = decode_varint(&mut message).context("read a field")?;
        if wire_type == WireType::LengthDelimited {
            let length = usize::try_from(number_or_length).context("read a length")?;
            let (body, rest) = message.split_at_checked(length).context("a field is cut off")?;
            message = rest;
            if number == field {
                visit(body)?;
            }
        }
    }
    Ok(())
}

async fn write(endpoint: &str, events: usize, epoch: Instant) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = Client::connect(endpoint, WRITERS)
        .await?
        .into_iter()
        .map(|mut client| {
            let next = next.clone();
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        return anyhow::Ok(());
                    }
                    let mut value = vec![b'x'; VALUE_BYTES];
                    let nanos = u64::try_from(epoch.elapsed().as_nanos()).context("the clock fits")?;
                    value[..8].copy_from_slice(&nanos.to_be_bytes());
                    let key = format!("fan/{number:04}").into();
                    let put = PutRequest { key, value: value.into(), ..PutRequest::default() };
                    client.call(wire::PUT, put.encode_to_vec().into()).await?;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.context("a writer panicked")??;
    }
    Ok(())
}
