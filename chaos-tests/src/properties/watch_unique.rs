//! No event is told twice by one watch. Source: etcd's API guarantees, "unique"; etcd #15274, #17247.

use std::collections::HashSet;

use super::Check;
use super::events::{describe, watches};
use crate::history::History;

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    for watch in watches(history) {
        let mut told = HashSet::new();
        for (record, event) in watch.events() {
            check.looked_at += 1;
            if !told.insert((event.kv.mod_revision, event.kv.key.as_str())) {
                check.violated(
                    format!("{}: {} was told twice", watch.name(record), describe(event)),
                    Vec::new(),
                );
            }
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn an_event_that_is_told_twice_is_refused() {
        let bad = watching(vec![
            asked(1),
            created(1),
            events(2, &[event("x", "a", 2)]),
            events(2, &[event("x", "a", 2)]),
        ]);
        assert!(check(&bad).violations[0].text.contains("was told twice"));
    }
}
