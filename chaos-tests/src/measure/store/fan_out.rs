//! Watch fan-out: everybody watches one prefix, a few writers put keys below it, and every delivery is timed.
//!
//! The value of an event begins with the time of its put, so that a delivery knows its own age.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest};
use bytes::Buf;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::line::{Event, Line};
use super::load::{CLIENTS_PER_LINE, VALUE_BYTES};
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
    let per_stream = watchers / streams;
    let mut listeners = Vec::new();
    for at in (0..streams).step_by(CLIENTS_PER_LINE) {
        let sharing = CLIENTS_PER_LINE.min(streams - at);
        listeners.push(open(endpoint, sharing, per_stream).await?);
    }
    let started = Instant::now();
    let listeners: Vec<_> = listeners
        .into_iter()
        .map(|(line, sharing)| tokio::spawn(listen(line, sharing * per_stream * events, epoch)))
        .collect();
    write(endpoint, events, epoch).await?;
    let mut latencies = Vec::new();
    for listener in listeners {
        latencies.append(&mut listener.await.context("a listener panicked")??);
    }
    Ok(Sample::of(latencies, started.elapsed()))
}

/// Returns once all watchers of the connection are there.
async fn open(endpoint: &str, streams: usize, watchers: usize) -> Result<(Line, usize)> {
    let mut line = Line::open(endpoint).await?;
    let create =
        WatchCreateRequest { key: "fan/".into(), range_end: "fan0".into(), ..WatchCreateRequest::default() };
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }.encode_to_vec();
    for _ in 0..streams {
        let stream = line.begin(wire::WATCH);
        for _ in 0..watchers {
            line.say(stream, &request)?;
        }
    }
    line.flush().await?;
    let mut created = 0;
    while created < streams * watchers {
        line.read().await?;
        while let Some(event) = line.take_event()? {
            let Event::Message(..) = event else { bail!("a stream ended") };
            created += 1;
        }
    }
    Ok((line, streams))
}

async fn listen(mut line: Line, expected: usize, epoch: Instant) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(expected);
    while latencies.len() < expected {
        line.flush().await?;
        line.read().await?;
        let now = epoch.elapsed();
        while let Some(event) = line.take_event()? {
            let Event::Message(_, message) = event else { bail!("a stream ended") };
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
