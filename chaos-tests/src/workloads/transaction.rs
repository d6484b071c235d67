//! Transactions over several keys: all keys of a group are written, read, or moved on from what was seen, at once.
//!
//! A reader that sees two different values in one group has seen half of a transaction. Groups are retired after a while,
//! as the keys of registers are, and for the same reason.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::client::Client;
use super::{Context, Pause};
use crate::history::{Compare, Expected, Operation, Reply, Request};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transaction {
    pub clients: u32,
    /// Groups in use at one time.
    pub groups: u64,
    /// Keys of a group.
    pub keys: u64,
    /// Between two requests of a client: half of it to one and a half.
    pub pause: Pause,
    /// A group is replaced by a fresh one after this time.
    pub retire_after: Pause,
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            clients: 6,
            groups: 3,
            keys: 3,
            pause: Pause(Duration::from_millis(15)),
            retire_after: Pause(Duration::from_secs(2)),
        }
    }
}

impl Transaction {
    pub fn start(&self, next: &mut u32, context: &Context, clients: &mut JoinSet<()>) {
        for _ in 0..self.clients {
            let (client, random) = context.client(*next);
            *next += 1;
            clients.spawn(run(self.clone(), client, random, context.clone()));
        }
    }

    fn group(&self, slot: u64, now_us: u64) -> Vec<String> {
        let period_us = u64::try_from(self.retire_after.0.as_micros()).unwrap_or(u64::MAX).max(1);
        (0..self.keys).map(|key| format!("transaction/{slot}/{}/{key}", now_us / period_us)).collect()
    }
}

async fn run(transaction: Transaction, mut client: Client, mut random: StdRng, context: Context) {
    let mut written = 0;
    // The first key that was read last, with its value.
    let mut seen: Option<(String, String)> = None;
    while context.pause(transaction.pause.0.mul_f64(random.random_range(0.5..1.5))).await {
        let keys = transaction.group(random.random_range(0..transaction.groups), context.recorder.now_us());
        written += 1;
        let value = format!("{}-{written}", client.number());
        let expected = seen.take().filter(|(key, _)| *key == keys[0]).map(|(_, value)| value);
        let request = match random.random_range(0..10) {
            0..=3 => read(&keys),
            4..=6 => write(&keys, &value),
            _ => advance(&keys, &value, expected),
        };
        if let Some(operation) = client.run(request).await {
            seen = first_seen(&operation);
        }
    }
}

fn read(keys: &[String]) -> Request {
    Request::Txn { compare: Vec::new(), success: gets(keys), failure: Vec::new() }
}

fn write(keys: &[String], value: &str) -> Request {
    Request::Txn { compare: Vec::new(), success: puts(keys, value), failure: Vec::new() }
}

/// Writes if the first key is as expected, and reads all of them if not.
fn advance(keys: &[String], value: &str, expected: Option<String>) -> Request {
    let expected = expected.map_or(Expected::Absent, Expected::Value);
    Request::Txn {
        compare: vec![Compare { key: keys[0].clone(), expected }],
        success: puts(keys, value),
        failure: gets(keys),
    }
}

fn puts(keys: &[String], value: &str) -> Vec<Request> {
    keys.iter().map(|key| Request::Put { key: key.clone(), value: value.to_owned(), lease: 0 }).collect()
}

fn gets(keys: &[String]) -> Vec<Request> {
    keys.iter().map(|key| Request::Get { key: key.clone(), serializable: false }).collect()
}

fn first_seen(operation: &Operation) -> Option<(String, String)> {
    let Some(Reply::Txn { replies, .. }) = operation.reply() else { return None };
    match replies.first()? {
        Reply::Range { kvs, .. } => kvs.first().map(|kv| (kv.key.clone(), kv.value.clone())),
        _ => None,
    }
}
