//! Registers: reads, writes and compare-and-set of single keys, by many clients at once.
//!
//! Every written value is unique in the run, so that a read says which write it saw. Keys are retired after a while:
//! a property that searches for an order of operations does so per key, and short histories keep the search quick.

use std::collections::HashMap;
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
pub struct Register {
    pub clients: u32,
    /// Keys in use at one time.
    pub keys: u64,
    /// Between two requests of a client: half of it to one and a half.
    pub pause: Pause,
    /// Reads that may be stale, in percent of all requests.
    pub serializable_percent: u32,
    /// A key is replaced by a fresh one after this time.
    pub retire_after: Pause,
}

impl Default for Register {
    fn default() -> Self {
        Self {
            clients: 6,
            keys: 5,
            pause: Pause(Duration::from_millis(10)),
            serializable_percent: 10,
            retire_after: Pause(Duration::from_secs(2)),
        }
    }
}

impl Register {
    pub fn start(&self, next: &mut u32, context: &Context, clients: &mut JoinSet<()>) {
        for _ in 0..self.clients {
            let (client, random) = context.client(*next);
            *next += 1;
            clients.spawn(run(self.clone(), client, random, context.clone()));
        }
    }

    /// The key that slot `slot` stands for at this time: all clients move on together.
    fn key(&self, slot: u64, now_us: u64) -> String {
        let generation = now_us / u64::try_from(self.retire_after.0.as_micros()).unwrap_or(u64::MAX).max(1);
        format!("register/{slot}/{generation}")
    }
}

async fn run(register: Register, mut client: Client, mut random: StdRng, context: Context) {
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut written = 0;
    loop {
        let think = register.pause.0.mul_f64(random.random_range(0.5..1.5));
        if !context.pause(think).await {
            return;
        }
        let key = register.key(random.random_range(0..register.keys), context.recorder.now_us());
        written += 1;
        let value = format!("{}-{written}", client.number());
        let request = choose(&register, &mut random, key.clone(), value, seen.get(&key));
        if let Some(operation) = client.run(request).await {
            remember(&mut seen, &key, &operation);
        }
    }
}

fn choose(
    register: &Register,
    random: &mut StdRng,
    key: String,
    value: String,
    seen: Option<&String>,
) -> Request {
    let roll = random.random_range(0..100);
    if roll < register.serializable_percent {
        return Request::Get { key, serializable: true };
    }
    match roll % 10 {
        0..=3 => Request::Get { key, serializable: false },
        4..=6 => Request::Put { key, value, lease: 0 },
        _ => Request::Txn {
            compare: vec![Compare {
                key: key.clone(),
                expected: seen.map_or(Expected::Absent, |seen| Expected::Value(seen.clone())),
            }],
            success: vec![Request::Put { key: key.clone(), value, lease: 0 }],
            failure: vec![Request::Get { key, serializable: false }],
        },
    }
}

/// The newest value that this client knows of, for its next compare-and-set.
fn remember(seen: &mut HashMap<String, String>, key: &str, operation: &Operation) {
    let read = |reply: &Reply| match reply {
        Reply::Range { kvs, .. } => kvs.first().map(|kv| kv.value.clone()),
        _ => None,
    };
    let value = match (&operation.request, operation.reply()) {
        (Request::Put { value, .. }, Some(_)) => Some(value.clone()),
        (Request::Get { serializable: false, .. }, Some(reply)) => read(reply),
        (Request::Txn { success, .. }, Some(Reply::Txn { succeeded: true, .. })) => {
            success.iter().find_map(|request| match request {
                Request::Put { value, .. } => Some(value.clone()),
                _ => None,
            })
        }
        (Request::Txn { .. }, Some(Reply::Txn { succeeded: false, replies })) => {
            replies.first().and_then(read)
        }
        _ => None,
    };
    if let Some(value) = value {
        seen.insert(key.to_owned(), value);
    }
}
