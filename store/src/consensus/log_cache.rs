//! The tail of the log in memory: what apply and healthy followers read, and what is not yet on disk.
//!
//! Invariant: indexes are consecutive. Entries that are not on disk yet are never evicted.

use std::collections::VecDeque;
use std::ops::Range;

use super::types::{Entry, LogId, Payload};

#[derive(Default)]
pub struct LogCache {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl LogCache {
    /// Index of the first cached entry.
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.log_id.index)
    }

    pub fn last(&self) -> Option<LogId> {
        self.entries.back().map(|entry| entry.log_id)
    }

    pub fn push(&mut self, entry: Entry) {
        if let Some(last) = self.last() {
            assert_eq!(entry.log_id.index, last.index + 1, "the log has no holes");
        }
        self.bytes += weight(&entry);
        self.entries.push_back(entry);
    }

    /// The cached part of `range`.
    pub fn slice(&self, range: Range<u64>) -> Vec<Entry> {
        let Some(first) = self.first() else { return Vec::new() };
        let end = first + self.entries.len() as u64;
        let (from, to) = (range.start.clamp(first, end), range.end.clamp(first, end));
        if from >= to {
            return Vec::new();
        }
        self.entries.range((from - first) as usize..(to - first) as usize).cloned().collect()
    }

    /// Drops every entry after `last`; all of them when it is `None`.
    pub fn truncate_after(&mut self, last: Option<u64>) {
        while self.entries.back().is_some_and(|entry| last.is_none_or(|last| entry.log_id.index > last)) {
            let entry = self.entries.pop_back();
            self.bytes -= entry.as_ref().map_or(0, weight);
        }
    }

    /// Drops every entry up to `upto`.
    pub fn purge(&mut self, upto: u64) {
        self.pop_front_while(|cache, first| first <= upto && !cache.entries.is_empty());
    }

    /// Drops the oldest entries while the cache is over its limits, but none after `flushed`.
    pub fn evict(&mut self, flushed: u64, max_entries: usize, max_bytes: usize) {
        self.pop_front_while(|cache, first| {
            let over = cache.entries.len() > max_entries || cache.bytes > max_bytes;
            // The last entry stays: it tells where the log ends.
            first <= flushed && cache.entries.len() > 1 && over
        });
    }

    fn pop_front_while(&mut self, condition: impl Fn(&Self, u64) -> bool) {
        while let Some(first) = self.first()
            && condition(self, first)
        {
            let entry = self.entries.pop_front();
            self.bytes -= entry.as_ref().map_or(0, weight);
        }
    }
}

fn weight(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        Payload::Normal(batch) => batch.bytes.len(),
        Payload::Blank | Payload::Membership(_) => 0,
    };
    payload + size_of::<Entry>()
}

#[cfg(test)]
mod tests {
    use super::super::types::LeaderId;
    use super::*;

    fn cache(indexes: Range<u64>) -> LogCache {
        let mut cache = LogCache::default();
        for index in indexes {
            let log_id = LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index };
            cache.push(Entry { log_id, payload: Payload::Blank });
        }
        cache
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn slices_what_it_has() {
        let cache = cache(5..9);
        assert_eq!(indexes(&cache.slice(0..100)), [5, 6, 7, 8]);
        assert_eq!(indexes(&cache.slice(6..8)), [6, 7]);
        assert!(cache.slice(0..5).is_empty() && cache.slice(9..12).is_empty());
    }

    #[test]
    fn evicts_only_what_is_on_disk() {
        let mut cache = cache(1..11);
        cache.evict(3, 2, usize::MAX);
        assert_eq!(cache.first(), Some(4));
        cache.evict(10, 2, usize::MAX);
        assert_eq!(indexes(&cache.slice(0..100)), [9, 10]);
    }

    #[test]
    fn truncates_and_purges() {
        let mut cache = cache(1..11);
        cache.truncate_after(Some(8));
        cache.purge(2);
        assert_eq!(indexes(&cache.slice(0..100)), [3, 4, 5, 6, 7, 8]);
        cache.truncate_after(None);
        assert_eq!((cache.first(), cache.bytes), (None, 0));
    }
}
