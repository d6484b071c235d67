//! What many bytes cost: a restart with 10 GiB of data, and the memory that a list of 1 GiB takes.
//!
//! One member each, since three would want thrice the disk. The list is streamed by whoever can (RangeStream, of etcd 3.7);
//! a stock etcd before that answers it in one message.

use std::convert::identity;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::{RangeRequest, RangeResponse};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;
use tonic::Code;

use super::Options;
use super::group::{Group, Setup};
use super::load;
use super::report::Report;
use super::socket::channel;
use super::wire::{self, Client};
use crate::measure::machine;
use crate::measure::spread::Spread;

const VALUE_BYTES: usize = 64 << 10;
const KEYS: u64 = (10 << 30) / VALUE_BYTES as u64;
/// Of 1 GiB.
const LISTED_KEYS: u64 = (1 << 30) / VALUE_BYTES as u64;
const RESTARTS: usize = 3;
const NAME: &str = "10 GiB";

pub fn run(options: &Options, dir: &Path, runtime: &Runtime, report: &mut Report) -> Result<()> {
    if options.only.as_ref().is_some_and(|part| !NAME.contains(part.as_str())) {
        return Ok(());
    }
    let ours = one(&options.ours(), dir, runtime)?;
    let theirs = one(&options.stock(), dir, runtime)?;
    report.figure("restart to serving with 10 GiB in 163,840 keys, s", "< 2 s", ours.restart, theirs.restart);
    report.figure("memory over idle for a list of 1 GiB, MiB", "< 64 MiB", ours.memory, theirs.memory);
    Ok(())
}

struct Figures {
    restart: Spread,
    memory: Spread,
}

fn one(setup: &Setup, dir: &Path, runtime: &Runtime) -> Result<Figures> {
    let dir = dir.join("huge");
    let mut group = Group::start(setup, 1, &dir, runtime)?;
    let endpoint = group.leader_endpoint(runtime)?;
    // Bytes that cannot be compressed, since the disk is what is to be filled.
    let mut value = vec![0; VALUE_BYTES];
    StdRng::seed_from_u64(1).fill_bytes(&mut value);
    runtime.block_on(load::fill_with(&endpoint, "list/", KEYS, value.into()))?;
    let mut restart = Spread::default();
    for _ in 0..RESTARTS {
        group.stop(0)?;
        restart.add(group.resume(0, runtime)?);
    }
    let mut memory = Spread::default();
    let pid = group.pid(0);
    let before = machine::resident_mib(pid);
    machine::forget_peak(pid)?;
    runtime.block_on(async { if stream(&endpoint).await? { Ok(()) } else { list(&endpoint).await } })?;
    memory.add(machine::peak_mib(pid) - before);
    drop(group);
    std::fs::remove_dir_all(&dir).context("remove the state")?;
    Ok(Figures { restart, memory })
}

fn listed() -> RangeRequest {
    RangeRequest {
        key: load::key("list/", 0),
        range_end: load::key("list/", LISTED_KEYS),
        ..RangeRequest::default()
    }
}

/// False: the server cannot.
async fn stream(endpoint: &str) -> Result<bool> {
    let client = KvClient::new(channel(endpoint, identity).await?);
    let parts = client.max_decoding_message_size(usize::MAX).range_stream(listed()).await;
    if parts.as_ref().is_err_and(|status| status.code() == Code::Unimplemented) {
        return Ok(false);
    }
    let mut parts = parts.context("ask for the list")?.into_inner();
    let mut keys = 0;
    while let Some(part) = parts.message().await.context("receive the list")? {
        keys += part.range_response.map_or(0, |part| part.kvs.len() as u64);
    }
    ensure!(keys == LISTED_KEYS, "the list has {keys} keys");
    Ok(true)
}

async fn list(endpoint: &str) -> Result<()> {
    let mut clients = Client::connect(endpoint, 1).await?;
    let answer = clients[0].call(wire::RANGE, listed().encode_to_vec().into()).await?;
    let answer = RangeResponse::decode(answer).context("decode the list")?;
    ensure!(answer.kvs.len() as u64 == LISTED_KEYS, "the list has {} keys", answer.kvs.len());
    Ok(())
}
