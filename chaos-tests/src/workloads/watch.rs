//! Watches: writers change keys of one prefix, watchers follow it from now, from the past, and resumed; a compactor takes
//! history away behind them.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::Client;
use super::watcher::Watcher;
use super::{Context, Pause};
use crate::history::Request;

const PREFIX: &str = "watch/";
/// A watch from the past starts up to this many revisions back.
const PAST_MAX: i64 = 100;
/// Keys are replaced by fresh ones after this time, so that the search for an order of operations stays quick.
const RETIRE_US: u64 = 2_000_000;
/// Shortest and longest life of one watch, in seconds.
const LIFE_SECONDS: std::ops::Range<f64> = 0.5..6.0;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    pub watchers: u32,
    pub writers: u32,
    pub keys: u64,
    /// Between two writes of one writer.
    pub pause: Pause,
    /// Left out: nothing is compacted.
    pub compact_every: Option<Pause>,
    /// Revisions that a compaction leaves.
    pub keep_revisions: i64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            watchers: 6,
            writers: 3,
            keys: 10,
            pause: Pause(Duration::from_millis(10)),
            compact_every: None,
            keep_revisions: 100,
        }
    }
}

impl Watch {
    pub fn start(&self, next: &mut u32, context: &Context, clients: &mut JoinSet<()>) {
        let mut take = || {
            *next += 1;
            context.client(*next - 1)
        };
        for _ in 0..self.writers {
            let (client, random) = take();
            clients.spawn(write(self.clone(), client, random, context.clone()));
        }
        for _ in 0..self.watchers {
            let (client, random) = take();
            clients.spawn(watch(client, random, context.clone()));
        }
        if let Some(every) = self.compact_every {
            let (client, _) = take();
            clients.spawn(compact(every.0, self.keep_revisions, client, context.clone()));
        }
    }
}

async fn write(watch: Watch, mut client: Client, mut random: StdRng, context: Context) {
    let mut written = 0;
    while context.pause(watch.pause.0.mul_f64(random.random_range(0.5..1.5))).await {
        written += 1;
        let value = format!("{}-{written}", client.number());
        let generation = context.recorder.now_us() / RETIRE_US;
        let mut key = || format!("{PREFIX}{}/{generation}", random.random_range(0..watch.keys));
        let request = match written % 10 {
            0..=5 => Request::Put { key: key(), value, lease: 0 },
            6 | 7 => Request::Delete { key: key() },
            _ => two_at_once(key(), key(), value),
        };
        client.run(request).await;
    }
}

/// One revision with two events, or one if the keys are the same.
fn two_at_once(first: String, second: String, value: String) -> Request {
    let mut success = vec![Request::Put { key: first.clone(), value: value.clone(), lease: 0 }];
    if first != second {
        success.push(Request::Put { key: second, value, lease: 0 });
    }
    Request::Txn { compare: Vec::new(), success, failure: Vec::new() }
}

async fn watch(mut client: Client, mut random: StdRng, context: Context) {
    let mut life = 0;
    loop {
        let Some(start) = choose_start(&mut client, &mut random).await else {
            // The member cannot be asked for its revision now.
            if context.pause(Duration::from_millis(200)).await {
                continue;
            }
            return;
        };
        life += 1;
        let mut watcher = Watcher {
            client: client.number(),
            watch: client.number() * 10_000 + life,
            prefix: PREFIX.to_owned(),
            next_revision: start,
            prev_kv: true,
            members: members_from(&context, client.number()),
        };
        let until = Instant::now() + Duration::from_secs_f64(random.random_range(LIFE_SECONDS));
        watcher.run(&context, Some(until)).await;
        if context.stop.is_cancelled() {
            return;
        }
    }
}

/// A watch that breaks is resumed at the next member: what one delivered the others must continue.
fn members_from(context: &Context, number: u32) -> Vec<super::client::MemberEndpoint> {
    let mut members = context.members.clone();
    let first = number as usize % members.len();
    members.rotate_left(first);
    members
}

/// From now (0), or some way back.
async fn choose_start(client: &mut Client, random: &mut StdRng) -> Option<i64> {
    if random.random_bool(0.4) {
        return Some(0);
    }
    let now = Request::Get { key: PREFIX.to_owned(), serializable: false };
    let revision = client.run(now).await?.revision()?;
    Some((revision + 1 - random.random_range(0..=PAST_MAX)).max(1))
}

async fn compact(every: Duration, keep: i64, mut client: Client, context: Context) {
    while context.pause(every).await {
        let now = Request::Get { key: PREFIX.to_owned(), serializable: false };
        let revision = client.run(now).await.and_then(|read| read.revision());
        if let Some(revision) = revision.filter(|revision| *revision > keep) {
            client.run(Request::Compact { revision: revision - keep }).await;
        }
    }
}
