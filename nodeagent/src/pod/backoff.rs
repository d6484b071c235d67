//! Doubling pauses per key, as the stock kubelet counts them.
//!
//! `due(key, event)` answers when a step that failed at `event` may be tried again; `next` is called when it is tried.
//! The first retry is immediate, then 10 s, 20 s, … up to the longest; twice the longest without a failure forgets.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::limits::Backoff;

#[derive(Debug, Clone)]
pub struct BackoffTable {
    curve: Backoff,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    pause: Duration,
    counted_at: Timestamp,
}

impl BackoffTable {
    pub fn new(curve: Backoff) -> Self {
        Self { curve, entries: BTreeMap::new() }
    }

    /// The earliest time of the next try after a failure at `event`; `None`: now.
    pub fn due(&self, key: &str, event: Timestamp) -> Option<Timestamp> {
        let entry = self.entries.get(key).filter(|entry| !self.is_calm(entry, event))?;
        event.checked_add(SignedDuration::try_from(entry.pause).unwrap_or(SignedDuration::MAX)).ok()
    }

    /// The pause that a try now would set, for the words of an event.
    pub fn pause(&self, key: &str) -> Duration {
        self.entries.get(key).map_or(self.curve.first, |entry| entry.pause)
    }

    /// Counts a try after the failure at `event`.
    pub fn next(&mut self, key: &str, event: Timestamp) {
        let previous = self.entries.get(key).filter(|entry| !self.is_calm(entry, event));
        let pause = previous.map_or(self.curve.first, |entry| (entry.pause * 2).min(self.curve.longest));
        self.entries.insert(key.to_owned(), Entry { pause, counted_at: event });
    }

    pub fn forget(&mut self, key: &str) {
        self.entries.remove(key);
    }

    fn is_calm(&self, entry: &Entry, event: Timestamp) -> bool {
        let calm = SignedDuration::try_from(self.curve.longest * 2).unwrap_or(SignedDuration::MAX);
        event.duration_since(entry.counted_at) > calm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn doubles_to_the_longest_and_starts_over_after_calm() {
        let mut table = BackoffTable::new(limits::CRASH_LOOP);
        let mut now = Timestamp::UNIX_EPOCH;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let due = table.due("web", now).unwrap_or(now);
            pauses.push(due.duration_since(now).as_secs());
            table.next("web", now);
            now = due;
        }
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 300, 300]);
        let calm = now + SignedDuration::from_secs(601);
        assert_eq!(table.due("web", calm), None);
    }
}
