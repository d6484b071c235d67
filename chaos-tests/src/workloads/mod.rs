//! What clients do while faults run: one workload per file, each a set of clients bound to a member each.
//!
//! A workload records all it asks and all it is told, and judges nothing: that is for `crate::properties`. Choices come
//! from the seed; what interleaves with what does not, since real processes run.

pub mod api;
pub mod append;
pub mod client;
pub mod kubernetes;
pub mod lease;
pub mod lock;
pub mod object_watcher;
pub mod pods;
pub mod register;
pub mod tampering;
pub mod transaction;
pub mod watch;
pub mod watch_stream;
pub mod watcher;
pub mod wire;
pub mod witness;

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::history::Recorder;
use crate::scenario::duration;
use client::{Client, MemberEndpoint};

/// A workload of a scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Workload {
    Register(register::Register),
    Transaction(transaction::Transaction),
    Watch(watch::Watch),
    Append(append::Append),
    Lease(lease::Lease),
    Lock(lock::Lock),
}

/// What all clients of a run share.
#[derive(Clone)]
pub struct Context {
    pub members: Vec<MemberEndpoint>,
    pub recorder: Recorder,
    pub timeout: Duration,
    pub seed: u64,
    pub stop: CancellationToken,
}

/// No other client's, and not 0: leases of one run.
fn lease_id(client: u32, turn: i64) -> i64 {
    (i64::from(client) + 1) * 1_000_000 + turn
}

/// Time to think between two requests of one client.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub struct Pause(#[serde(deserialize_with = "duration::deserialize")] pub Duration);

impl Context {
    /// Client `number` of the run, at the member whose turn it is, with random choices of its own.
    pub fn client(&self, number: u32) -> (Client, StdRng) {
        let member = self.members[number as usize % self.members.len()].clone();
        let client = Client::new(number, member, self.timeout, self.recorder.clone());
        (client, StdRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number))))
    }

    /// Waits, or returns false at once when the run ends.
    pub async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

/// Starts the clients of every workload. Client numbers are unique in the run.
pub fn start(workloads: &[Workload], context: &Context) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let mut next = 0;
    for workload in workloads {
        match workload {
            Workload::Register(register) => register.start(&mut next, context, &mut clients),
            Workload::Transaction(transaction) => transaction.start(&mut next, context, &mut clients),
            Workload::Watch(watch) => watch.start(&mut next, context, &mut clients),
            Workload::Append(append) => append.start(&mut next, context, &mut clients),
            Workload::Lease(lease) => lease.start(&mut next, context, &mut clients),
            Workload::Lock(lock) => lock.start(&mut next, context, &mut clients),
        }
    }
    witness::start(context, &mut clients);
    clients
}
