//! The queue of pods that wait for a node.
//!
//! ```text
//! add ──► active ──pop──► (being decided) ──fits nowhere──► unschedulable ──a change may help──► backoff ──over──► active
//!                                └──────── binding failed ─────────────────────────────────────►┘
//! ```
//! Active pods come out by priority, then by how long they wait. Time is an argument.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use balsa_proto::client::ObjectKey;
use tokio::time::Instant;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// No change is known to help, but one may have been misjudged (stock: 5 minutes).
const UNSCHEDULABLE_AT_MOST: Duration = Duration::from_secs(5 * 60);

#[derive(Default)]
pub struct Queue {
    entries: HashMap<ObjectKey, Entry>,
    active: BTreeMap<Rank, ObjectKey>,
    arrivals: u64,
}

/// Higher priority first, then earlier arrival.
type Rank = (Reverse<i32>, u64);

struct Entry {
    rank: Rank,
    attempts: u32,
    place: Place,
}

enum Place {
    Active,
    Deciding,
    Backoff { until: Instant },
    Unschedulable { since: Instant, backoff_until: Instant, helped_by_pods: bool },
}

/// What happened that may make pods fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Help {
    /// A node came or changed, or a pod left one.
    Room,
    /// A pod came to a node: only affinity and spread care.
    Company,
}

impl Queue {
    /// Adds a new pod, or one whose spec changed; a pod that waits keeps its place in the order.
    pub fn add(&mut self, key: ObjectKey, priority: i32) {
        let arrival = match self.entries.get(&key) {
            Some(entry) => {
                if matches!(entry.place, Place::Active) && entry.rank.0 == Reverse(priority) {
                    return;
                }
                entry.rank.1
            }
            None => {
                self.arrivals += 1;
                self.arrivals
            }
        };
        let attempts = self.entries.get(&key).map_or(0, |entry| entry.attempts);
        self.remove(&key);
        let rank = (Reverse(priority), arrival);
        self.active.insert(rank, key.clone());
        self.entries.insert(key, Entry { rank, attempts, place: Place::Active });
    }

    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.entries.contains_key(key)
    }

    pub fn remove(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.remove(key)
            && matches!(entry.place, Place::Active)
        {
            self.active.remove(&entry.rank);
        }
    }

    /// The next pod to decide on.
    pub fn pop(&mut self, now: Instant) -> Option<ObjectKey> {
        self.promote(now);
        let (_, key) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&key).expect("every active key has an entry");
        entry.attempts += 1;
        entry.place = Place::Deciding;
        Some(key)
    }

    /// The pod fits nowhere now.
    pub fn unschedulable(&mut self, key: &ObjectKey, helped_by_pods: bool, now: Instant) {
        if let Some(entry) = self.entries.get_mut(key) {
            let backoff_until = now + backoff(entry.attempts);
            entry.place = Place::Unschedulable { since: now, backoff_until, helped_by_pods };
        }
    }

    /// The decision could not be carried out.
    pub fn failed(&mut self, key: &ObjectKey, now: Instant) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.place = Place::Backoff { until: now + backoff(entry.attempts) };
        }
    }

    /// Lets the pods try again that the change may help.
    pub fn help(&mut self, help: Help) {
        for entry in self.entries.values_mut() {
            if let Place::Unschedulable { backoff_until, helped_by_pods, .. } = entry.place
                && (help == Help::Room || helped_by_pods)
            {
                entry.place = Place::Backoff { until: backoff_until };
            }
        }
    }

    /// When a waiting pod becomes active by itself.
    pub fn next_promotion(&self) -> Option<Instant> {
        self.entries.values().filter_map(Entry::promotion).min()
    }

    pub fn has_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// Makes the pods active whose back-off is over.
    pub fn promote(&mut self, now: Instant) {
        for (key, entry) in &mut self.entries {
            if entry.promotion().is_some_and(|moment| moment <= now) {
                entry.place = Place::Active;
                self.active.insert(entry.rank, key.clone());
            }
        }
    }
}

impl Entry {
    fn promotion(&self) -> Option<Instant> {
        match self.place {
            Place::Active | Place::Deciding => None,
            Place::Backoff { until } => Some(until),
            Place::Unschedulable { since, .. } => Some(since + UNSCHEDULABLE_AT_MOST),
        }
    }
}

/// Doubles with each attempt.
fn backoff(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(8);
    (FIRST_BACKOFF * 2_u32.pow(doublings)).min(LONGEST_BACKOFF)
}
