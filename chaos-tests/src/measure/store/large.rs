//! What a large state costs: memory, a restart, and the wait of a put while the members are busy with it.

use std::convert::identity;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{
    CompactionRequest, CompactionResponse, DefragmentRequest, RangeRequest, RangeResponse, SnapshotRequest,
};
use tokio::runtime::Runtime;

use super::group::{Group, Setup};
use super::load::{self, Operation};
use super::report::{Report, Row};
use super::sample::Sample;
use super::socket::channel;
use super::wire::{self, Client};
use super::{MEMBERS, Options};
use crate::measure::spread::Spread;

const KEYS: u64 = 1_000_000;
const RESTARTS: usize = 3;
const CLIENTS: usize = 8;
const QUIET: Duration = Duration::from_secs(4);
/// Puts that a member misses before it catches up: more than either keeps in memory for it.
const MISSED: Duration = Duration::from_secs(6);
const NAME: &str = "1,000,000 keys";

pub fn run(options: &Options, dir: &Path, runtime: &Runtime, report: &mut Report) -> Result<()> {
    if options.only.as_ref().is_some_and(|part| !NAME.contains(part.as_str())) {
        return Ok(());
    }
    let ours = one(&options.ours(), dir, runtime)?;
    let theirs = one(&options.stock(), dir, runtime)?;
    report.figure("memory per member at 1,000,000 keys × 256 B, MiB", "≤ 0.5", ours.memory, theirs.memory);
    report.figure("restart to serving at 1,000,000 keys, s", "< 2 s", ours.restart, theirs.restart);
    let rows = ours.puts.into_iter().zip(theirs.puts);
    for ((name, ours), (_, theirs)) in rows {
        report.row(Row { name, aim: "", p99_aim: "", ours: vec![ours], theirs: vec![theirs] });
    }
    Ok(())
}

struct Figures {
    memory: Spread,
    restart: Spread,
    puts: Vec<(&'static str, Sample)>,
}

fn one(setup: &Setup, dir: &Path, runtime: &Runtime) -> Result<Figures> {
    let dir = dir.join("large");
    let mut group = Group::start(setup, MEMBERS, &dir, runtime)?;
    runtime.block_on(load::fill(&group.leader_endpoint(runtime)?, "list/", KEYS))?;
    let memory = group.resident_mib();
    let leader = group.leader(runtime)?;
    let follower = (leader + 1) % MEMBERS;
    let mut restart = Spread::default();
    for _ in 0..RESTARTS {
        group.stop(follower)?;
        restart.add(group.resume(follower, runtime)?);
    }
    let endpoint = group.leader_endpoint(runtime)?;
    let mut puts = vec![("put, 8 clients, 1,000,000 keys: quiet", runtime.block_on(put(&endpoint, QUIET))?)];
    let snapshot = put_during(&endpoint, stream_snapshots(&endpoint));
    puts.push(("… while a snapshot streams", runtime.block_on(snapshot)?));
    let defragment = put_during(&endpoint, defragment(&endpoint));
    puts.push(("… while the leader defragments", runtime.block_on(defragment)?));
    let compact = put_during(&endpoint, compact(&endpoint));
    puts.push(("… while compacting 1,000,000 revisions", runtime.block_on(compact)?));
    group.stop(follower)?;
    runtime.block_on(put(&endpoint, MISSED))?;
    let resumed = std::thread::scope(|scope| {
        let busy = scope.spawn(|| runtime.block_on(put(&endpoint, QUIET)));
        group.resume(follower, runtime)?;
        busy.join().expect("the load does not panic")
    })?;
    puts.push(("… while a member catches up", resumed));
    drop(group);
    std::fs::remove_dir_all(&dir).context("remove the large state")?;
    Ok(Figures { memory, restart, puts })
}

async fn put(endpoint: &str, round: Duration) -> Result<Sample> {
    load::run(endpoint, Operation::Put, CLIENTS, round).await
}

/// Puts while `other` is done, and for [`QUIET`] at least.
async fn put_during(endpoint: &str, other: impl Future<Output = Result<()>>) -> Result<Sample> {
    let (sample, other) = tokio::join!(put(endpoint, QUIET), other);
    other?;
    sample
}

async fn compact(endpoint: &str) -> Result<()> {
    let mut clients = Client::connect(endpoint, 1).await?;
    let get = RangeRequest { key: "list/".into(), ..RangeRequest::default() };
    let now: RangeResponse = clients[0].ask(wire::RANGE, &get).await?;
    let revision = now.header.context("an answer has a header")?.revision;
    let compact = CompactionRequest { revision, physical: true };
    clients[0].ask::<CompactionResponse>(wire::COMPACT, &compact).await.map(drop)
}

/// One after the other, for as long as the puts go on.
async fn stream_snapshots(endpoint: &str) -> Result<()> {
    let mut client = MaintenanceClient::new(channel(endpoint, identity).await?);
    let started = Instant::now();
    while started.elapsed() < QUIET {
        let parts = client.snapshot(SnapshotRequest {}).await.context("ask for a snapshot")?;
        let mut parts = parts.into_inner();
        while parts.message().await.context("receive a snapshot")?.is_some() {}
    }
    Ok(())
}

async fn defragment(endpoint: &str) -> Result<()> {
    let mut client = MaintenanceClient::new(channel(endpoint, identity).await?);
    client.defragment(DefragmentRequest {}).await.context("defragment").map(drop)
}
