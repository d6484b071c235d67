//! Catch-up: reads the changes that watchers have missed from the column family `log`, in revision order.
//!
//! One pass serves all watchers of a stream that are behind. It stops between two revisions once a bound is reached.
//! Never a gap: history is checked *after* the view is taken, and records go only after their compaction is announced.

use std::sync::Arc;

use bytes::Bytes;

use super::event::Event;
use super::watcher::Watcher;
use crate::backend::{BackendError, Column, View};
use crate::mvcc::codec::{self, Kind};
use crate::mvcc::limits::{CATCH_UP_BYTES, CATCH_UP_EVENTS, CATCH_UP_REVISIONS};
use crate::mvcc::read::{corrupt, decode, log_record};
use crate::mvcc::{Mvcc, key_value};
use crate::revision::Revision;

/// A watcher that is behind.
#[derive(Debug, Clone)]
pub struct Follower {
    pub watcher: Arc<Watcher>,
    pub next_revision: i64,
}

#[derive(Debug)]
pub struct Caught {
    pub watcher: Arc<Watcher>,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub enum Outcome {
    /// All events from where it was up to and including `revision`, read from a state at `newest`.
    Events { revision: i64, newest: i64, events: Vec<Arc<Event>> },
    /// What it needs is gone.
    Compacted { compact_revision: i64 },
}

/// Blocks on the disk.
pub fn read(mvcc: &Mvcc, followers: &[Follower]) -> Result<Vec<Caught>, BackendError> {
    let version = mvcc.version();
    version.backend.read(|view| {
        let compact_revision = mvcc.compact_revision();
        let (gone, readable): (Vec<_>, Vec<_>) =
            followers.iter().partition(|f| f.next_revision < compact_revision);
        let mut caught: Vec<Caught> = gone
            .into_iter()
            .map(|f| Caught { watcher: f.watcher.clone(), outcome: Outcome::Compacted { compact_revision } })
            .collect();
        caught.extend(read_events(view, version.revision, &readable)?);
        Ok(caught)
    })
}

fn read_events(view: &dyn View, newest: i64, followers: &[&Follower]) -> Result<Vec<Caught>, BackendError> {
    let Some(from) = followers.iter().map(|f| f.next_revision).min() else { return Ok(Vec::new()) };
    let lower = codec::log_key(Revision::new(from, 0));
    let upper = codec::log_key(Revision::new(newest + 1, 0));
    let mut events: Vec<Vec<Arc<Event>>> = vec![Vec::new(); followers.len()];
    let mut budget = Budget { revision: from - 1, revisions: 0, events: 0, bytes: 0 };
    let mut reached = newest;
    let mut cursor = view.cursor(Column::Log, &lower, &upper);
    cursor.seek(&lower)?;
    while let Some((at, bytes)) = cursor.item() {
        let revision = codec::parse_log_key(at).ok_or_else(|| corrupt(Column::Log, at))?;
        if budget.ends_before(revision.main) {
            reached = budget.revision;
            break;
        }
        let (meta, key) = log_record(at, bytes)?;
        let wanting = |f: &&Follower| {
            f.next_revision <= revision.main
                && f.watcher.wants_kind(meta.kind)
                && f.watcher.range.contains(key)
        };
        if followers.iter().any(wanting) {
            let event = Arc::new(read_event(view, key, revision, meta.kind)?);
            budget.spend(&event);
            for (follower, events) in followers.iter().zip(&mut events) {
                if wanting(follower) {
                    events.push(event.clone());
                }
            }
        }
        cursor.next()?;
    }
    let caught = followers.iter().zip(events).map(|(follower, events)| Caught {
        watcher: follower.watcher.clone(),
        outcome: Outcome::Events { revision: reached.max(follower.next_revision - 1), newest, events },
    });
    Ok(caught.collect())
}

fn read_event(view: &dyn View, key: &[u8], revision: Revision, kind: Kind) -> Result<Event, BackendError> {
    let at = codec::kv_key(key, revision);
    let bytes = view.get(Column::Kv, &at)?.ok_or_else(|| corrupt(Column::Kv, &at))?;
    let record = decode(Column::Kv, &at, bytes)?;
    let kv = key_value(Bytes::copy_from_slice(key), revision, record.meta, record.payload);
    Ok(Event::from_history(kind, kv))
}

/// How much of a pass is used up.
struct Budget {
    /// The one being read.
    revision: i64,
    revisions: i64,
    events: usize,
    bytes: usize,
}

impl Budget {
    /// Whether the pass ends before the revision: only ever between two revisions.
    fn ends_before(&mut self, revision: i64) -> bool {
        if revision == self.revision {
            return false;
        }
        let over = self.revisions >= CATCH_UP_REVISIONS
            || self.events >= CATCH_UP_EVENTS
            || self.bytes >= CATCH_UP_BYTES;
        if !over {
            self.revision = revision;
            self.revisions += 1;
        }
        over
    }

    fn spend(&mut self, event: &Event) {
        self.events += 1;
        self.bytes += event.size_bytes();
    }
}
