//! Append lists: transactions that read several lists and append to some of them, as Elle wants them.
//!
//! A list is a key whose value is its elements, divided by blanks. Every element is unique in the run, so that a list tells
//! the order of all appends before it. The store cannot append: a client reads the lists in one transaction, and writes them
//! one element longer in a second one that compares what it read by `mod_revision`.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::client::Client;
use super::{Context, Pause};
use crate::history::{Compare, Expected, Kv, Operation, Reply, Request};

/// Keys of all lists begin with it.
pub const PREFIX: &str = "append/";

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Append {
    pub clients: u32,
    /// Lists in use at one time.
    pub keys: u64,
    /// The most that one transaction speaks about.
    pub keys_per_transaction: usize,
    /// Between two transactions of a client: half of it to one and a half.
    pub pause: Pause,
    /// A list is replaced by a fresh one after this time: a value is as long as its list.
    pub retire_after: Pause,
}

impl Default for Append {
    fn default() -> Self {
        Self {
            clients: 6,
            keys: 4,
            keys_per_transaction: 3,
            pause: Pause(Duration::from_millis(15)),
            retire_after: Pause(Duration::from_secs(5)),
        }
    }
}

impl Append {
    pub fn start(&self, next: &mut u32, context: &Context, clients: &mut JoinSet<()>) {
        for _ in 0..self.clients {
            let (client, random) = context.client(*next);
            *next += 1;
            clients.spawn(run(self.clone(), client, random, context.clone()));
        }
    }

    /// Some lists of this time, each once.
    fn choose(&self, random: &mut StdRng, now_us: u64) -> Vec<String> {
        let generation = now_us / u64::try_from(self.retire_after.0.as_micros()).unwrap_or(u64::MAX).max(1);
        let mut slots: Vec<u64> = (0..self.keys).collect();
        slots.shuffle(random);
        slots.truncate(random.random_range(1..=self.keys_per_transaction.max(1)));
        slots.into_iter().map(|slot| format!("{PREFIX}{slot}/{generation}")).collect()
    }
}

async fn run(append: Append, mut client: Client, mut random: StdRng, context: Context) {
    let mut element = 0;
    while context.pause(append.pause.0.mul_f64(random.random_range(0.5..1.5))).await {
        let keys = append.choose(&mut random, context.recorder.now_us());
        let Some(read) = client.run(read(&keys)).await else { continue };
        let Some(seen) = seen(&read) else { continue };
        if random.random_bool(0.3) {
            continue;
        }
        let mut next_element = || {
            element += 1;
            format!("{}-{element}", client.number())
        };
        // The first is always written, so that the transaction is not a second read.
        let successors = keys
            .iter()
            .enumerate()
            .map(|(number, key)| {
                (number == 0 || random.random_bool(0.6))
                    .then(|| longer(seen.get(key.as_str()).copied(), &next_element()))
            })
            .collect();
        client.run(write(&keys, &seen, successors)).await;
    }
}

pub fn read(keys: &[String]) -> Request {
    Request::Txn { compare: Vec::new(), success: gets(keys), failure: Vec::new() }
}

/// Writes the lists that have a successor and reads the others, if none has changed; reads all of them if one has.
pub fn write(keys: &[String], seen: &BTreeMap<&str, &Kv>, successors: Vec<Option<String>>) -> Request {
    let unchanged = |key: &String| Compare {
        key: key.clone(),
        expected: Expected::ModRevision(seen.get(key.as_str()).map_or(0, |kv| kv.mod_revision)),
    };
    let step = |(key, successor): (&String, Option<String>)| match successor {
        Some(value) => Request::Put { key: key.clone(), value, lease: 0 },
        None => Request::Get { key: key.clone(), serializable: false },
    };
    Request::Txn {
        compare: keys.iter().map(unchanged).collect(),
        success: keys.iter().zip(successors).map(step).collect(),
        failure: gets(keys),
    }
}

pub fn longer(list: Option<&Kv>, element: &str) -> String {
    list.map_or(element.to_owned(), |kv| format!("{} {element}", kv.value))
}

fn gets(keys: &[String]) -> Vec<Request> {
    keys.iter().map(|key| Request::Get { key: key.clone(), serializable: false }).collect()
}

/// The lists that a transaction of reads saw; none for one that failed.
pub fn seen(operation: &Operation) -> Option<BTreeMap<&str, &Kv>> {
    let Some(Reply::Txn { replies, .. }) = operation.reply() else { return None };
    let kvs = replies.iter().flat_map(|reply| match reply {
        Reply::Range { kvs, .. } => kvs.as_slice(),
        _ => &[],
    });
    Some(kvs.map(|kv| (kv.key.as_str(), kv)).collect())
}
