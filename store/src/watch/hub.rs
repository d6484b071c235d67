//! The hub: hands the changes of each revision to the streams that watch their keys.
//!
//! In: from apply, all changes of one revision at once, revisions in order. Out: items in the streams' inboxes.
//! Invariants: a watcher in the hub has everything up to `revision` in its inbox or behind it; `history` holds the last
//! revisions without a gap. The lock is held while one revision is handed out, and never across I/O.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::counts::{Totals, WatchCounts};
use super::event::Event;
use super::inbox::{Inbox, Offered};
use super::routes::Routes;
use super::stream::{StreamOptions, WatchStream};
use super::watcher::{Token, Watcher};
use crate::mvcc::limits::{HUB_HISTORY_BYTES, HUB_HISTORY_REVISIONS};
use crate::mvcc::write::Changed;
use crate::mvcc::{KeyRange, Mvcc};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct WatchHub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mvcc: Mvcc,
    state: Mutex<State>,
    next_token: AtomicU64,
    counts: WatchCounts,
}

#[derive(Debug)]
struct State {
    /// Everything up to here has been handed out.
    revision: i64,
    routes: Routes,
    /// Watchers in `routes` that want nothing before a revision still to come.
    starts: BTreeMap<Token, i64>,
    history: History,
}

/// What happened at one revision.
#[derive(Debug)]
struct Revisioned {
    revision: i64,
    events: Vec<Arc<Event>>,
}

/// Where a watcher stands after it asked to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    Synced,
    /// Too far back: read from disk first.
    Behind,
    Compacted {
        compact_revision: i64,
    },
}

impl WatchHub {
    pub(crate) fn new(mvcc: Mvcc) -> Self {
        let revision = mvcc.revision();
        let state = State {
            revision,
            routes: Routes::default(),
            starts: BTreeMap::new(),
            history: History::default(),
        };
        let (state, next_token, counts) = (Mutex::new(state), AtomicU64::new(0), WatchCounts::default());
        Self { shared: Arc::new(Shared { mvcc, state, next_token, counts }) }
    }

    /// A state machine for one client stream.
    pub fn stream(&self, options: StreamOptions) -> WatchStream {
        WatchStream::new(self.clone(), options)
    }

    pub fn mvcc(&self) -> &Mvcc {
        &self.shared.mvcc
    }

    pub(crate) fn counts(&self) -> &WatchCounts {
        &self.shared.counts
    }

    pub fn totals(&self) -> Totals {
        self.shared.counts.totals()
    }

    /// Everything up to here has been handed to the streams.
    pub fn revision(&self) -> i64 {
        self.shared.state.lock().revision
    }

    pub(crate) fn new_token(&self) -> Token {
        Token(self.shared.next_token.fetch_add(1, Ordering::Relaxed))
    }

    /// Called by apply once readers see the revisions; each list is one revision's changes, in order. Streams are woken at
    /// the end, so that what came together leaves in one response.
    pub(crate) fn notify(&self, revisions: Vec<Vec<Changed>>) {
        let mut filled = Vec::new();
        for changes in revisions {
            let Some(first) = changes.first() else { continue };
            let revision = first.revision.main;
            let events = changes.into_iter().map(|change| Arc::new(Event::from(change))).collect();
            self.shared.state.lock().hand_out(Revisioned { revision, events }, &mut filled);
        }
        filled.iter().for_each(|inbox| inbox.wake());
    }

    /// The state was replaced by a newer one: everyone reads what they missed from there.
    pub(crate) fn restored(&self, revision: i64) {
        let mut state = self.shared.state.lock();
        let next = state.revision + 1;
        for watcher in state.routes.drain() {
            let start = state.starts.remove(&watcher.token).unwrap_or(0);
            watcher.inbox.fell_behind(watcher.token, next.max(start));
        }
        state.history = History::default();
        state.revision = revision;
    }

    /// Makes the watcher one that gets events as they happen, from `next_revision` on, if that is near enough.
    pub(crate) fn join(&self, watcher: &Arc<Watcher>, next_revision: i64) -> Joined {
        let mut state = self.shared.state.lock();
        let compact_revision = self.shared.mvcc.compact_revision();
        if next_revision < compact_revision {
            return Joined::Compacted { compact_revision };
        }
        if next_revision <= state.revision && !state.history.reaches(next_revision) {
            return Joined::Behind;
        }
        for past in state.history.from(next_revision) {
            let events: Vec<_> = past.events.iter().filter(|event| watcher.wants(event)).cloned().collect();
            if events.is_empty() {
                continue;
            }
            // The answer says how far the store is: it is history that is told, at a later time.
            match watcher.inbox.offer(watcher.token, state.revision, events) {
                Offered::First => watcher.inbox.wake(),
                Offered::Behind => {}
                Offered::Full => {
                    watcher.inbox.fell_behind(watcher.token, past.revision);
                    return Joined::Synced;
                }
            }
        }
        if next_revision > state.revision + 1 {
            state.starts.insert(watcher.token, next_revision);
        }
        state.routes.insert(watcher.clone());
        Joined::Synced
    }

    pub(crate) fn leave(&self, range: &KeyRange, token: Token) {
        self.shared.state.lock().remove(range, token);
    }

    /// Puts a progress mark behind everything that the inbox holds. `start` is the latest start that a watcher asked for:
    /// before it is reached there is nothing to tell.
    pub(crate) fn progress(&self, inbox: &Inbox, token: Option<Token>, start: i64) -> bool {
        let state = self.shared.state.lock();
        state.revision >= start && inbox.progress(token, state.revision)
    }
}

impl State {
    /// Whose inboxes are to be woken is added to `filled`.
    fn hand_out(&mut self, change: Revisioned, filled: &mut Vec<Arc<Inbox>>) {
        assert_eq!(change.revision, self.revision + 1, "revisions are handed out in order");
        self.revision = change.revision;
        for (watcher, events) in self.matches(&change) {
            match watcher.inbox.offer(watcher.token, change.revision, events) {
                Offered::First => filled.push(watcher.inbox.clone()),
                Offered::Behind => {}
                Offered::Full => {
                    self.remove(&watcher.range, watcher.token);
                    watcher.inbox.fell_behind(watcher.token, change.revision);
                }
            }
        }
        self.history.push(change);
    }

    fn matches(&mut self, change: &Revisioned) -> Vec<(Arc<Watcher>, Vec<Arc<Event>>)> {
        let mut matches: Vec<(Arc<Watcher>, Vec<Arc<Event>>)> = Vec::new();
        let mut places: BTreeMap<Token, usize> = BTreeMap::new();
        let starts = &self.starts;
        for event in &change.events {
            self.routes.visit(event.key(), |watcher| {
                let started = starts.get(&watcher.token).is_none_or(|start| *start <= change.revision);
                if !started || !watcher.wants_kind(event.kind()) {
                    return;
                }
                let place = *places.entry(watcher.token).or_insert_with(|| {
                    matches.push((watcher.clone(), Vec::new()));
                    matches.len() - 1
                });
                matches[place].1.push(event.clone());
            });
        }
        matches
    }

    fn remove(&mut self, range: &KeyRange, token: Token) {
        self.starts.remove(&token);
        self.routes.remove(range, token);
    }
}

/// The last revisions, without a gap, bounded in number and bytes.
#[derive(Debug, Default)]
struct History {
    revisions: VecDeque<Revisioned>,
    bytes: usize,
}

impl History {
    fn push(&mut self, change: Revisioned) {
        self.bytes += size(&change);
        self.revisions.push_back(change);
        while self.revisions.len() > HUB_HISTORY_REVISIONS || self.bytes > HUB_HISTORY_BYTES {
            let Some(oldest) = self.revisions.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }

    fn reaches(&self, revision: i64) -> bool {
        self.revisions.front().is_some_and(|oldest| oldest.revision <= revision)
    }

    fn from(&self, revision: i64) -> impl Iterator<Item = &Revisioned> {
        let at = self.revisions.partition_point(|past| past.revision < revision);
        self.revisions.range(at..)
    }
}

fn size(change: &Revisioned) -> usize {
    change.events.iter().map(|event| event.size_bytes()).sum()
}
