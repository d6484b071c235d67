//! Leases: granted, given keys, kept alive for a while, and then left to expire or revoked.
//!
//! Each lease is of one client and each key of one lease; nobody deletes the keys but the store. Keep-alives come early in
//! the lease's time and late in it, so that a store that counts from the wrong moment shows it.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::client::Client;
use super::{Context, lease_id};
use crate::history::{Operation, Reply, Request};

/// Between two looks at a key that is to vanish.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// A lease that is still there so long after its time is left alone: a store may be without a leader for a while.
const EXPIRY_MAX: Duration = Duration::from_secs(8);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lease {
    pub clients: u32,
    /// What is asked for; a store may give more.
    pub ttl_seconds: u32,
    /// Keys of each lease.
    pub keys: u32,
    /// The most keep-alives of one lease.
    pub keep_alives: u32,
    /// Leases that are revoked in the end, in percent; the others expire.
    pub revoke_percent: u32,
}

impl Default for Lease {
    fn default() -> Self {
        Self { clients: 12, ttl_seconds: 2, keys: 2, keep_alives: 5, revoke_percent: 30 }
    }
}

impl Lease {
    pub fn start(&self, next: &mut u32, context: &Context, clients: &mut JoinSet<()>) {
        for _ in 0..self.clients {
            let (client, random) = context.client(*next);
            *next += 1;
            clients.spawn(run(self.clone(), client, random, context.clone()));
        }
    }
}

async fn run(lease: Lease, mut client: Client, mut random: StdRng, context: Context) {
    let mut turn = 0;
    while context.pause(Duration::from_millis(random.random_range(10..200))).await {
        turn += 1;
        let id = lease_id(client.number(), turn);
        let grant = Request::LeaseGrant { id, ttl_seconds: i64::from(lease.ttl_seconds) };
        let Some(ttl) = client.run(grant).await.and_then(|grant| granted(&grant)) else { continue };
        let keys: Vec<String> = (0..lease.keys).map(|key| format!("lease/{id}/{key}")).collect();
        for key in &keys {
            let value = format!("{id}");
            client.run(Request::Put { key: key.clone(), value, lease: id }).await;
        }
        for _ in 0..random.random_range(0..=lease.keep_alives) {
            if !context.pause(ttl.mul_f64(random.random_range(0.2..0.95))).await {
                return;
            }
            client.run(Request::LeaseKeepAlive { id }).await;
        }
        if random.random_range(0..100) < lease.revoke_percent {
            client.run(Request::LeaseRevoke { id }).await;
        }
        watch_it_go(&mut client, &context, &keys, ttl).await;
    }
}

/// Reads the keys until none is there.
async fn watch_it_go(client: &mut Client, context: &Context, keys: &[String], ttl: Duration) {
    let looks = ((ttl + EXPIRY_MAX).as_millis() / LOOK_EVERY.as_millis()).max(1);
    let mut left = keys.to_vec();
    for _ in 0..looks {
        let Some(key) = left.last() else { return };
        if !context.pause(LOOK_EVERY).await {
            return;
        }
        let look = Request::Get { key: key.clone(), serializable: false };
        let seen = client.run(look).await;
        if let Some(Reply::Range { kvs, .. }) = seen.as_ref().and_then(Operation::reply)
            && kvs.is_empty()
        {
            left.pop();
        }
    }
}

/// The time that the store gave.
fn granted(grant: &Operation) -> Option<Duration> {
    match grant.reply()? {
        Reply::Lease { ttl_seconds, .. } => u64::try_from(*ttl_seconds).ok().map(Duration::from_secs),
        _ => None,
    }
}
