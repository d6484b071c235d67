//! Locks with fencing: clients take a lock through the store's Lock service, write to what it guards, and give it back.
//!
//! The fencing token is the create revision of the key that holds the lock; a guarded write compares it, and its value begins
//! with it. Some holders oversleep: they act on when their lease has ended long ago and the lock is somebody else's, as a
//! process does that was paused. Such a write must be refused.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::client::Client;
use super::{Context, Pause, lease_id};
use crate::history::{Compare, Expected, Operation, Outcome, Reply, Request};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lock {
    pub clients: u32,
    pub locks: u32,
    pub ttl_seconds: u32,
    /// How long a lock is held: half of it to one and a half.
    pub hold: Pause,
    /// Holders that act on after their lease has ended, in percent.
    pub oversleep_percent: u32,
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            clients: 6,
            locks: 2,
            ttl_seconds: 2,
            hold: Pause(Duration::from_millis(200)),
            oversleep_percent: 10,
        }
    }
}

/// Names of all locks begin with it, and so do the keys of who holds them.
pub const PREFIX: &str = "lock/";

/// Between two writes of a holder.
const WRITE_EVERY: Duration = Duration::from_millis(20);

/// A lock that is held.
pub struct Held {
    pub lease: i64,
    pub key: String,
    /// Create revision of the key.
    token: i64,
    guarded: String,
}

impl Held {
    /// `look` is a read of the lock's key.
    pub fn of(lease: i64, slot: u32, look: &Operation) -> Option<Self> {
        let (Request::Get { key, .. }, Some(Reply::Range { kvs, .. })) = (&look.request, look.reply()) else {
            return None;
        };
        let token = kvs.first()?.create_revision;
        Some(Self { lease, key: key.clone(), token, guarded: format!("guarded/{slot}") })
    }

    /// To what the lock guards; `writer` is unique in the run.
    pub fn write(&self, writer: &str) -> Request {
        let held = Compare { key: self.key.clone(), expected: Expected::CreateRevision(self.token) };
        let value = format!("{} {writer}", self.token);
        let put = Request::Put { key: self.guarded.clone(), value, lease: 0 };
        Request::Txn { compare: vec![held], success: vec![put], failure: Vec::new() }
    }
}

pub fn name(slot: u32) -> String {
    format!("{PREFIX}{slot}")
}

/// False: the lock is somebody else's.
pub fn may_be_written(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown { .. } | Outcome::Ok { reply: Reply::Txn { succeeded: true, .. }, .. })
}

impl Lock {
    pub fn start(&self, next: &mut u32, context: &Context, clients: &mut JoinSet<()>) {
        for _ in 0..self.clients {
            let (client, random) = context.client(*next);
            *next += 1;
            let worker = Worker { lock: self.clone(), client, random, context: context.clone(), written: 0 };
            clients.spawn(worker.run());
        }
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_seconds.into())
    }
}

struct Worker {
    lock: Lock,
    client: Client,
    random: StdRng,
    context: Context,
    written: u64,
}

impl Worker {
    async fn run(mut self) {
        let mut turn = 0;
        while self.context.pause(Duration::from_millis(self.random.random_range(5..100))).await {
            turn += 1;
            let lease = lease_id(self.client.number(), turn);
            let slot = self.random.random_range(0..self.lock.locks);
            if let Some(held) = self.acquire(lease, slot).await {
                self.hold(held).await;
            } else {
                // A request that was given up may still be granted.
                self.client.run(Request::LeaseRevoke { id: lease }).await;
            }
        }
    }

    async fn acquire(&mut self, lease: i64, slot: u32) -> Option<Held> {
        let grant = Request::LeaseGrant { id: lease, ttl_seconds: self.lock.ttl_seconds.into() };
        self.client.run(grant).await?.reply()?;
        // One who waits for longer than his lease lives cannot get the lock.
        let wait = self.lock.ttl().mul_f64(0.75);
        let request = Request::Lock { name: name(slot), lease };
        let granted = self.client.run_within(wait, request).await?;
        let Some(Reply::Lock { key }) = granted.reply() else { return None };
        let look = self.client.run(Request::Get { key: key.clone(), serializable: false }).await?;
        Held::of(lease, slot, &look)
    }

    async fn hold(&mut self, held: Held) {
        let oversleeps = self.random.random_range(0..100) < self.lock.oversleep_percent;
        let time = self.lock.hold.0.mul_f64(self.random.random_range(0.5..1.5));
        let turns = (time.as_millis() / WRITE_EVERY.as_millis()).max(1);
        for turn in 0..turns {
            if !self.context.pause(WRITE_EVERY).await || !self.write(&held).await {
                break;
            }
            if turn % 5 == 4 {
                self.client.run(Request::LeaseKeepAlive { id: held.lease }).await;
            }
        }
        if oversleeps {
            self.context.pause(self.lock.ttl().mul_f64(1.5)).await;
            self.write(&held).await;
        } else if self.random.random_bool(0.5) {
            self.client.run(Request::Unlock { key: held.key }).await;
        }
        self.client.run(Request::LeaseRevoke { id: held.lease }).await;
    }

    /// False: the lock is somebody else's, or its member cannot be reached.
    async fn write(&mut self, held: &Held) -> bool {
        self.written += 1;
        let guarded = held.write(&format!("{}-{}", self.client.number(), self.written));
        let written = self.client.run(guarded).await;
        written.is_some_and(|written| may_be_written(&written.outcome))
    }
}
