//! The previous value of an event is the value of the event before it. Source: etcd tests/robustness, validate/watch.go,
//! "prevKV".
//!
//! It may be missing only if compaction took it away, or if the key was gone before the watch began.

use super::Check;
use super::events::{Changes, before, describe, watches};
use crate::history::{History, Request, WatchSight};

pub fn check(history: &History) -> Check {
    let changes = Changes::known(history);
    let compacted = history
        .operations
        .iter()
        .filter_map(|operation| match operation.request {
            Request::Compact { revision } => Some(revision),
            _ => None,
        })
        .max()
        .unwrap_or(0);
    let mut check = Check::default();
    for watch in watches(history) {
        let asks = |record: &&crate::history::WatchRecord| {
            matches!(record.sight, WatchSight::Asked { prev_kv: true, .. })
        };
        if !watch.records.iter().any(asks) {
            continue;
        }
        let Some(from) = watch.owed_from() else { continue };
        for (record, event) in watch.events() {
            let Some(known) = before(&changes, &event.kv.key, event.kv.mod_revision) else { continue };
            check.looked_at += 1;
            let expected = || format!("{} after {}", describe(event), known.value);
            match &event.prev {
                // A write that nobody else knows of may lie between.
                Some(prev) if prev.mod_revision > known.mod_revision => {}
                Some(prev) if prev.value == known.value && prev.mod_revision == known.mod_revision => {}
                Some(prev) => check.violated(
                    format!(
                        "{}: {}, but prev_kv says {} of revision {}",
                        watch.name(record),
                        expected(),
                        prev.value,
                        prev.mod_revision
                    ),
                    Vec::new(),
                ),
                None if event.kv.mod_revision - 1 <= compacted || known.mod_revision < from => {}
                None => check.violated(
                    format!("{}: {}, but there is no prev_kv", watch.name(record), expected()),
                    Vec::new(),
                ),
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
    fn a_wrong_or_missing_previous_value_is_refused() {
        let first = event("x", "a", 2);
        let mut second = event("x", "b", 3);
        second.prev = Some(first.kv.clone());
        let told = |second| watching(vec![asked(1), created(1), events(3, &[event("x", "a", 2), second])]);
        assert!(check(&told(second.clone())).violations.is_empty());
        second.prev = None;
        assert!(check(&told(second.clone())).violations[0].text.contains("there is no prev_kv"));
        second.prev = Some(kv("x", "z", 1));
        assert!(check(&told(second)).violations[0].text.contains("but prev_kv says z"));
    }
}
