//! The clients of the simulated cluster: what they do comes from the seed, what they see goes into the history.
//!
//! They stand on one machine with a true clock, and each holds to one member until that cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use balsa_store::consensus::peers::PeerChannel;
use futures::FutureExt;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::network::{Network, Port};
use super::trace::{CLIENTS, Place, Trace, name};
use super::{appends, locks};
use crate::history::{Compare, Expected, History, Operation, Outcome, Record, Reply, Request};
use crate::workloads::client::{execute, outcome};

const TIMEOUT: Duration = Duration::from_millis(1_500);
const REGISTERS: u32 = 4;
const KEYS: u64 = 3;
/// Shortest and longest time to think, in milliseconds.
const THINK_MS: std::ops::Range<u64> = 10..160;
/// A key is replaced by a fresh one after this, so that the search for an order stays short.
const RETIRE_MS: u64 = 1_500;
const LEASE_TTL_SECONDS: i64 = 2;

/// What all clients share. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub network: Network,
    pub trace: Trace,
    pub history: Arc<Mutex<History>>,
    pub started: Instant,
    pub places: Vec<Place>,
    pub stop: CancellationToken,
    /// Those that have not ended yet.
    pub clients: TaskTracker,
    pub seed: u64,
}

impl Desk {
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).expect("runs are short")
    }

    pub fn channel(&self, to: Place) -> PeerChannel {
        let network = self.network.clone();
        PeerChannel::Simulated(Arc::new(move |request| {
            network.clone().call(CLIENTS, to, Port::Client, request).boxed()
        }))
    }

    pub fn record(&self, record: Record) {
        self.history.lock().add(record);
    }

    pub fn random(&self, number: u32) -> SmallRng {
        SmallRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number)))
    }

    /// False at once when the run ends.
    pub async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

/// Starts them all on the runtime that this is called on.
pub fn start(desk: &Desk) {
    for number in 0..REGISTERS {
        desk.clients.spawn(register(Client::new(desk, number)));
    }
    desk.clients.spawn(transactions(Client::new(desk, REGISTERS)));
    desk.clients.spawn(transactions(Client::new(desk, REGISTERS + 1)));
    desk.clients.spawn(leases(Client::new(desk, REGISTERS + 2)));
    desk.clients.spawn(compactions(Client::new(desk, REGISTERS + 3)));
    for number in REGISTERS + 4..REGISTERS + 6 {
        desk.clients.spawn(appends::run(Client::new(desk, number)));
    }
    for number in REGISTERS + 6..REGISTERS + 8 {
        desk.clients.spawn(locks::run(Client::new(desk, number)));
    }
    super::watches::start(desk);
}

pub struct Client {
    pub desk: Desk,
    pub number: u32,
    place: Place,
    pub random: SmallRng,
}

impl Client {
    pub fn new(desk: &Desk, number: u32) -> Client {
        let place = desk.places[number as usize % desk.places.len()];
        Client { desk: desk.clone(), number, place, random: desk.random(number) }
    }

    pub fn at(desk: &Desk, number: u32, place: Place) -> Client {
        Client { desk: desk.clone(), number, place, random: desk.random(number) }
    }

    /// Runs the request and records it; `None` if nobody listened.
    pub async fn run(&mut self, request: Request) -> Option<Operation> {
        self.run_within(TIMEOUT, request).await
    }

    /// The same, for a request that may wait for others.
    pub async fn run_within(&mut self, timeout: Duration, request: Request) -> Option<Operation> {
        let call_us = self.desk.now_us();
        let answer = tokio::time::timeout(timeout, execute(self.desk.channel(self.place), &request)).await;
        let outcome = match answer {
            Ok(Err(status)) if was_refused(&status) => {
                self.move_on();
                return None;
            }
            Ok(answer) => outcome(&request, answer),
            Err(_) => outcome(&request, Err(tonic::Status::cancelled("no answer in time"))),
        };
        let member = name(self.place);
        if !matches!(outcome, Outcome::Ok { .. }) {
            self.move_on();
        }
        let operation = Operation {
            client: self.number,
            member,
            call_us,
            return_us: self.desk.now_us(),
            request,
            outcome,
        };
        self.desk.trace.event(CLIENTS, || operation.describe());
        self.desk.record(Record::Operation(operation.clone()));
        Some(operation)
    }

    fn move_on(&mut self) {
        let at = self.desk.places.iter().position(|place| *place == self.place).unwrap_or(0);
        self.place = self.desk.places[(at + 1) % self.desk.places.len()];
    }

    pub async fn think(&mut self) -> bool {
        let time = Duration::from_millis(self.random.random_range(THINK_MS));
        self.desk.pause(time).await
    }

    pub fn generation(&self) -> u64 {
        self.desk.now_us() / 1000 / RETIRE_MS
    }
}

/// Nobody listens: the request did not arrive anywhere.
fn was_refused(status: &tonic::Status) -> bool {
    balsa_store::consensus::peers::never_sent(status)
}

async fn register(mut client: Client) {
    let mut seen: Option<(String, String)> = None;
    let mut written = 0;
    while client.think().await {
        let key = format!("register/{}/{}", client.random.random_range(0..KEYS), client.generation());
        written += 1;
        let value = format!("{}-{written}", client.number);
        let request = match client.random.random_range(0..12) {
            0 => Request::Get { key: key.clone(), serializable: true },
            1..=4 => Request::Get { key: key.clone(), serializable: false },
            5..=7 => Request::Put { key: key.clone(), value, lease: 0 },
            8 => Request::Delete { key: key.clone() },
            _ => compare_and_set(&key, value, seen.take()),
        };
        let Some(operation) = client.run(request).await else { continue };
        if let Some(Reply::Range { kvs, .. }) = operation.reply() {
            seen = kvs.first().map(|kv| (key, kv.value.clone()));
        }
    }
}

fn compare_and_set(key: &str, value: String, seen: Option<(String, String)>) -> Request {
    let expected = match seen {
        Some((seen_key, seen)) if seen_key == key => Expected::Value(seen),
        _ => Expected::Absent,
    };
    Request::Txn {
        compare: vec![Compare { key: key.to_owned(), expected }],
        success: vec![Request::Put { key: key.to_owned(), value, lease: 0 }],
        failure: vec![Request::Get { key: key.to_owned(), serializable: false }],
    }
}

/// Several keys at once: who sees half of it has seen half of a transaction.
async fn transactions(mut client: Client) {
    let mut written = 0;
    while client.think().await {
        let group = format!("transaction/{}/{}", client.random.random_range(0..2), client.generation());
        let keys: Vec<String> = (0..3).map(|key| format!("{group}/{key}")).collect();
        written += 1;
        let value = format!("{}-{written}", client.number);
        let gets = || keys.iter().map(|key| Request::Get { key: key.clone(), serializable: false }).collect();
        let puts = || {
            keys.iter().map(|key| Request::Put { key: key.clone(), value: value.clone(), lease: 0 }).collect()
        };
        let success = if client.random.random_bool(0.5) { puts() } else { gets() };
        client.run(Request::Txn { compare: Vec::new(), success, failure: Vec::new() }).await;
    }
}

/// A key on a lease that is kept alive for a while and then left alone.
async fn leases(mut client: Client) {
    let mut made = 0;
    while client.think().await {
        made += 1;
        let id = i64::from(client.number) * 1_000 + made;
        let granted = client.run(Request::LeaseGrant { id, ttl_seconds: LEASE_TTL_SECONDS }).await;
        if granted.is_none_or(|granted| granted.reply().is_none()) {
            continue;
        }
        let key = format!("lease/{id}");
        client.run(Request::Put { key, value: id.to_string(), lease: id }).await;
        for _ in 0..client.random.random_range(0..4) {
            if !client.desk.pause(Duration::from_millis(500)).await {
                return;
            }
            client.run(Request::LeaseKeepAlive { id }).await;
        }
        if client.random.random_bool(0.2) {
            client.run(Request::LeaseRevoke { id }).await;
        }
    }
}

async fn compactions(mut client: Client) {
    while client.desk.pause(Duration::from_millis(client.random.random_range(300..1_500))).await {
        let key = "register/".to_owned();
        let read = client.run(Request::Get { key, serializable: false }).await;
        let keep = client.random.random_range(5..40);
        let revision = read.and_then(|read| read.revision()).filter(|revision| *revision > keep);
        if let Some(revision) = revision {
            client.run(Request::Compact { revision: revision - keep }).await;
        }
    }
}
