//! The events of one revision come in one response. Source: etcd's API guarantees, "atomic"; no watch here asks for fragments.

use std::collections::HashSet;

use super::Check;
use super::events::{describe, watches};
use crate::history::{History, WatchSight};

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    for watch in watches(history) {
        let mut told = HashSet::new();
        for record in &watch.records {
            let WatchSight::Events(events) = &record.sight else { continue };
            check.looked_at += events.len();
            let here: HashSet<i64> = events.iter().map(|event| event.kv.mod_revision).collect();
            for event in events.iter().filter(|event| told.contains(&event.kv.mod_revision)) {
                check.violated(
                    format!(
                        "{}: {} belongs to a revision that came in an earlier response",
                        watch.name(record),
                        describe(event)
                    ),
                    Vec::new(),
                );
            }
            told.extend(here);
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn a_revision_in_two_responses_is_refused() {
        let good = watching(vec![asked(1), created(1), events(2, &[event("x", "a", 2), event("y", "a", 2)])]);
        assert!(check(&good).violations.is_empty());
        let bad = watching(vec![
            asked(1),
            created(1),
            events(2, &[event("x", "a", 2)]),
            events(2, &[event("y", "a", 2)]),
        ]);
        assert!(check(&bad).violations[0].text.contains("put a of y belongs to a revision"));
    }
}
