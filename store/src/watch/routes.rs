//! From a changed key to the watchers of it: a map for single keys, an interval search for ranges.
//!
//! Watchers of one range share an entry, so the search grows with the number of *different* ranges. The search is an
//! implicit balanced tree over the ranges sorted by start: each node knows the greatest end below it, and a branch whose
//! ends all lie at or before the key is not entered. It is rebuilt when the set of ranges has changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::watcher::{Token, Watcher};
use crate::mvcc::KeyRange;

#[derive(Debug, Default)]
pub struct Routes {
    exact: HashMap<Bytes, Vec<Arc<Watcher>>>,
    ranges: BTreeMap<KeyRange, Vec<Arc<Watcher>>>,
    /// `None` after the set of ranges has changed.
    search: Option<Search>,
}

impl Routes {
    pub fn insert(&mut self, watcher: Arc<Watcher>) {
        if watcher.range.is_single() {
            self.exact.entry(Bytes::copy_from_slice(watcher.range.start())).or_default().push(watcher);
            return;
        }
        let group = self.ranges.entry(watcher.range.clone()).or_default();
        if group.is_empty() {
            self.search = None;
        }
        group.push(watcher);
    }

    pub fn remove(&mut self, range: &KeyRange, token: Token) -> Option<Arc<Watcher>> {
        if range.is_single() {
            let group = self.exact.get_mut(range.start())?;
            let removed = take(group, token);
            if group.is_empty() {
                self.exact.remove(range.start());
            }
            return removed;
        }
        let group = self.ranges.get_mut(range)?;
        let removed = take(group, token);
        if group.is_empty() {
            self.ranges.remove(range);
            self.search = None;
        }
        removed
    }

    pub fn drain(&mut self) -> Vec<Arc<Watcher>> {
        self.search = None;
        let exact = std::mem::take(&mut self.exact).into_values().flatten();
        exact.chain(std::mem::take(&mut self.ranges).into_values().flatten()).collect()
    }

    /// Every watcher whose range holds the key.
    pub fn visit(&mut self, key: &[u8], mut visit: impl FnMut(&Arc<Watcher>)) {
        self.exact.get(key).into_iter().flatten().for_each(&mut visit);
        if self.ranges.is_empty() {
            return;
        }
        let search = self.search.get_or_insert_with(|| Search::new(self.ranges.keys()));
        let mut hits = Vec::new();
        search.collect(key, 0, search.ranges.len(), &mut hits);
        for hit in hits {
            self.ranges.get(&search.ranges[hit]).into_iter().flatten().for_each(&mut visit);
        }
    }
}

fn take(group: &mut Vec<Arc<Watcher>>, token: Token) -> Option<Arc<Watcher>> {
    let at = group.iter().position(|watcher| watcher.token == token)?;
    Some(group.swap_remove(at))
}

/// The end of a range, for comparing: no end is greater than any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Before(Vec<u8>),
    Never,
}

#[derive(Debug)]
struct Search {
    ranges: Vec<KeyRange>,
    /// At the middle of each subtree: the greatest end in the subtree.
    greatest_end: Vec<End>,
}

impl Search {
    fn new<'a>(ranges: impl Iterator<Item = &'a KeyRange>) -> Self {
        let ranges: Vec<KeyRange> = ranges.cloned().collect();
        let greatest_end = vec![End::Before(Vec::new()); ranges.len()];
        let mut search = Self { ranges, greatest_end };
        search.build(0, search.ranges.len());
        search
    }

    fn build(&mut self, low: usize, high: usize) -> Option<End> {
        if low == high {
            return None;
        }
        let middle = low + (high - low) / 2;
        let own = self.ranges[middle].end_bound().map_or(End::Never, End::Before);
        let left = self.build(low, middle);
        let right = self.build(middle + 1, high);
        let greatest =
            [Some(own), left, right].into_iter().flatten().max().expect("the node itself has an end");
        self.greatest_end[middle] = greatest.clone();
        Some(greatest)
    }

    fn collect(&self, key: &[u8], low: usize, high: usize, hits: &mut Vec<usize>) {
        if low == high {
            return;
        }
        let middle = low + (high - low) / 2;
        if matches!(&self.greatest_end[middle], End::Before(end) if end[..] <= *key) {
            return;
        }
        self.collect(key, low, middle, hits);
        if self.ranges[middle].start() > key {
            return;
        }
        if self.ranges[middle].contains(key) {
            hits.push(middle);
        }
        self.collect(key, middle + 1, high, hits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_exactly_the_ranges_that_hold_the_key(
            ranges in proptest::collection::vec((0u8..20, 0u8..22), 0..40), removed in proptest::collection::vec(any::<bool>(), 40), key in 0u8..22,
        ) {
            let inbox = Arc::new(super::super::inbox::Inbox::default());
            let mut routes = Routes::default();
            let mut want = Vec::new();
            for (at, (start, end)) in ranges.iter().enumerate() {
                // 20 stands for a single key, 21 for an open end.
                let end = match end { 20 => vec![], 21 => vec![0], end => vec![*end] };
                let range = KeyRange::new(&[*start], &end);
                let token = Token(at as u64);
                let watcher = Watcher { token, range: range.clone(), no_put: false, no_delete: false, inbox: inbox.clone() };
                routes.insert(Arc::new(watcher));
                if at % 3 == 0 {
                    routes.visit(&[key], |_| {});
                }
                if removed[at] {
                    prop_assert!(routes.remove(&range, token).is_some());
                } else if range.contains(&[key]) {
                    want.push(token);
                }
            }
            let mut found = Vec::new();
            routes.visit(&[key], |watcher| found.push(watcher.token));
            found.sort_unstable();
            prop_assert_eq!(found, want);
        }
    }
}
