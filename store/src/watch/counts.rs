//! How many watch, and how far behind, for the metrics.
//!
//! Each stream counts into cells of its own, which nobody else writes: what many streams share would be dear to all of them.
//! Sums are made when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::inbox::Inbox;

/// Of one stream.
#[derive(Debug, Default)]
pub struct StreamCounts {
    pub watchers: AtomicU64,
    /// Watchers that are not served by the hub: they read from the disk, or wait to.
    pub behind: AtomicU64,
    pub sent_events: AtomicU64,
}

/// Of all streams. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct WatchCounts {
    shared: Arc<Mutex<Streams>>,
}

#[derive(Debug, Default)]
struct Streams {
    open: BTreeMap<u64, (Arc<StreamCounts>, Arc<Inbox>)>,
    next: u64,
    /// Of streams that are gone.
    sent_events: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    pub streams: u64,
    pub watchers: u64,
    pub behind: u64,
    /// Events that the hub has handed out and no stream has taken yet.
    pub pending_events: u64,
    pub sent_events: u64,
}

/// One stream's place among the others, given back when it is dropped.
#[derive(Debug)]
pub struct Listed {
    counts: Arc<StreamCounts>,
    all: WatchCounts,
    number: u64,
}

impl WatchCounts {
    pub fn list(&self, inbox: &Arc<Inbox>) -> Listed {
        let counts = Arc::new(StreamCounts::default());
        let mut streams = self.shared.lock();
        let number = streams.next;
        streams.next += 1;
        streams.open.insert(number, (counts.clone(), inbox.clone()));
        Listed { counts, all: self.clone(), number }
    }

    pub fn totals(&self) -> Totals {
        let streams = self.shared.lock();
        let mut totals = Totals { sent_events: streams.sent_events, ..Totals::default() };
        for (counts, inbox) in streams.open.values() {
            totals.streams += 1;
            totals.watchers += counts.watchers.load(Ordering::Relaxed);
            totals.behind += counts.behind.load(Ordering::Relaxed);
            totals.sent_events += counts.sent_events.load(Ordering::Relaxed);
            totals.pending_events += inbox.event_count() as u64;
        }
        totals
    }
}

impl std::ops::Deref for Listed {
    type Target = StreamCounts;

    fn deref(&self) -> &StreamCounts {
        &self.counts
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut streams = self.all.shared.lock();
        streams.open.remove(&self.number);
        streams.sent_events += self.counts.sent_events.load(Ordering::Relaxed);
    }
}
