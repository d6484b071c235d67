//! put/s and get/s of one store member beside one of stock etcd, with fsync on, over the same client.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::{PutRequest, RangeRequest};
use tonic::transport::{Channel, Endpoint};

use super::machine::resident_mib;
use super::spread::Spread;
use crate::lab::{Process, binary, eventually};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
/// Sizes of etcd's own benchmark tool, and of a small Kubernetes object.
const KEY_BYTES: usize = 8;
const VALUE_BYTES: usize = 256;
const KEYS: u64 = 10_000;

#[derive(Clone, Copy)]
enum Operation {
    Put,
    Get,
    SerializableGet,
}

/// Operation, clients.
const ROWS: [(&str, Operation, usize); 6] = [
    ("put, 1 client", Operation::Put, 1),
    ("put, 64 clients", Operation::Put, 64),
    ("put, 512 clients", Operation::Put, 512),
    ("get, 1 client", Operation::Get, 1),
    ("get, 64 clients", Operation::Get, 64),
    ("serializable get, 64 clients", Operation::SerializableGet, 64),
];

struct Server {
    process: Process,
    endpoint: String,
}

pub fn run() -> Result<()> {
    // On a disk, not in memory: fsync is what is measured.
    let dir = tempfile::Builder::new()
        .prefix("balsa-bench-")
        .tempdir_in("/var/tmp")
        .context("make a data directory")?;
    let balsa = Server::start_balsa(dir.path())?;
    let etcd = Server::start_etcd(dir.path())?;
    let runtime = tokio::runtime::Runtime::new().context("start a runtime")?;
    println!(
        "\nstore, one member, {VALUE_BYTES} B values, fsync on, {ROUNDS} rounds of {} s in turns",
        ROUND.as_secs()
    );
    println!("{:<30} {:<34} {:<34} {:>6}", "operations/s: median (spread)", "balsa", "stock etcd", "ratio");
    for (name, operation, clients) in ROWS {
        let (mut ours, mut theirs) = (Spread::default(), Spread::default());
        for _ in 0..ROUNDS {
            ours.add(runtime.block_on(round(&balsa.endpoint, operation, clients))?);
            theirs.add(runtime.block_on(round(&etcd.endpoint, operation, clients))?);
        }
        let ratio = ours.median() / theirs.median();
        println!("{name:<30} {:<34} {:<34} {ratio:>5.2}x", ours.to_string(), theirs.to_string());
    }
    let (ours, theirs) = (resident_mib(balsa.process.pid()), resident_mib(etcd.process.pid()));
    println!("{:<30} {ours:<34.0} {theirs:<34.0} {:>5.2}x", "resident memory after it, MiB", ours / theirs);
    Ok(())
}

impl Server {
    fn start_balsa(dir: &Path) -> Result<Self> {
        let mut command = Command::new(binary("balsa")?);
        command.arg("store").arg("--data-dir").arg(dir.join("balsa"));
        Self::start(command, dir, "balsa", 24379)
    }

    fn start_etcd(dir: &Path) -> Result<Self> {
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(dir.join("etcd"));
        Self::start(command, dir, "etcd", 25379)
    }

    fn start(mut command: Command, dir: &Path, name: &str, port: u16) -> Result<Self> {
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", port + 1));
        command.args([
            "--name",
            "bench",
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.arg("--initial-cluster").arg(format!("bench={peer}"));
        let process = Process::start(&mut command, &dir.join(format!("{name}.log")))?;
        let runtime = tokio::runtime::Runtime::new().context("start a runtime")?;
        eventually(&format!("{name} serves"), Duration::from_secs(20), || {
            runtime.block_on(async {
                let mut client = KvClient::new(connect(&client).await?);
                client.put(put(0)).await.context("put")
            })
        })
        .with_context(|| process.log_tail(10))?;
        Ok(Self { process, endpoint: client })
    }
}

async fn connect(endpoint: &str) -> Result<Channel> {
    Endpoint::from_shared(endpoint.to_owned())
        .context("parse the endpoint")?
        .connect()
        .await
        .context("connect")
}

/// Operations per second of `clients` that each wait for their answer; at most 16 share a connection.
async fn round(endpoint: &str, operation: Operation, clients: usize) -> Result<f64> {
    let mut channels = Vec::new();
    for _ in 0..clients.div_ceil(16) {
        channels.push(connect(endpoint).await?);
    }
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let deadline = started + ROUND;
    let workers: Vec<_> = (0..clients)
        .map(|number| {
            let client = KvClient::new(channels[number % channels.len()].clone());
            tokio::spawn(work(client, operation, next.clone(), deadline))
        })
        .collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await.context("a client panicked")??;
    }
    Ok(done as f64 / started.elapsed().as_secs_f64())
}

async fn work(
    mut client: KvClient<Channel>,
    operation: Operation,
    next: Arc<AtomicU64>,
    deadline: Instant,
) -> Result<u64> {
    let mut done = 0;
    while Instant::now() < deadline {
        let number = next.fetch_add(1, Ordering::Relaxed) % KEYS;
        match operation {
            Operation::Put => drop(client.put(put(number)).await.context("put")?),
            Operation::Get => drop(client.range(get(number, false)).await.context("get")?),
            Operation::SerializableGet => drop(client.range(get(number, true)).await.context("get")?),
        }
        done += 1;
    }
    Ok(done)
}

fn key(number: u64) -> Vec<u8> {
    format!("{number:0KEY_BYTES$}").into_bytes()
}

fn put(number: u64) -> PutRequest {
    PutRequest { key: key(number).into(), value: vec![b'x'; VALUE_BYTES].into(), ..PutRequest::default() }
}

fn get(number: u64, serializable: bool) -> RangeRequest {
    RangeRequest { key: key(number).into(), serializable, ..RangeRequest::default() }
}
