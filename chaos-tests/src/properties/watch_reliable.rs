//! A watch tells everything between its start and what it told last, and all watches tell the same. Source: etcd's API
//! guarantees, "reliable"; etcd #17529, #18089 and #19179 lost events.
//!
//! What is missing is known from other watches and from acknowledged writes.

use std::collections::HashSet;

use super::Check;
use super::events::{Changes, watches};
use crate::history::History;

pub fn check(history: &History) -> Check {
    let changes = Changes::known(history);
    let mut check = Check::default();
    for conflict in &changes.conflicts {
        check.violated(conflict.clone(), Vec::new());
    }
    for watch in watches(history) {
        let (Some(from), until) = (watch.owed_from(), watch.told_until()) else { continue };
        if until < from {
            continue;
        }
        let told: HashSet<(i64, &str)> =
            watch.events().map(|(_, event)| (event.kv.mod_revision, event.kv.key.as_str())).collect();
        for (revision, keys) in changes.by_revision.range(from..=until) {
            for (key, change) in keys.iter().filter(|(key, _)| key.starts_with(watch.prefix)) {
                check.looked_at += 1;
                if !told.contains(&(*revision, key)) {
                    let text = format!(
                        "watch {} on {:?} told everything from {from} to {until}, but not revision {revision}: {} of {key}",
                        watch.number,
                        watch.prefix,
                        change.value.map_or("delete".to_owned(), |value| format!("put {value}"))
                    );
                    check.violated(text, Vec::new());
                }
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
    fn a_gap_is_refused_whoever_knows_of_it() {
        let mut bad =
            watching(vec![asked(1), created(1), events(4, &[event("x", "a", 2), event("x", "c", 4)])]);
        assert!(check(&bad).violations.is_empty());
        bad.operations.push(op(1, (0, 1), put("x", "b"), done(3)));
        assert!(check(&bad).violations[0].text.contains("but not revision 3: put b of x"));
    }

    #[test]
    fn a_bookmark_beyond_an_event_that_never_came_is_refused() {
        let mut bad = watching(vec![asked(1), created(1), progress(7)]);
        bad.operations.push(op(1, (0, 1), put("x", "b"), done(3)));
        assert_eq!(check(&bad).violations.len(), 1);
    }

    #[test]
    fn two_watches_that_disagree_are_refused() {
        let mut bad = watching(vec![asked(1), created(1), events(2, &[event("x", "a", 2)])]);
        let mut other = watching(vec![asked(1), created(1), events(2, &[event("x", "b", 2)])]).watches;
        other.iter_mut().for_each(|record| record.watch = 2);
        bad.watches.extend(other);
        assert!(check(&bad).violations[0].text.contains("is Some(\"a\") to one and Some(\"b\") to another"));
    }
}
