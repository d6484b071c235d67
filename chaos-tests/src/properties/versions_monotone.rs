//! A watcher never sees resourceVersions go back, also over a broken stream, another apiserver and a new list; and a list
//! is never older than what was acknowledged, to anybody, before it was asked for.
//!
//! Source: the API's concepts ("resource versions" are ordered per resource; a list without one is the most recent);
//! KEP-2340, consistent reads from cache.

use std::collections::BTreeMap;

use super::Check;
use crate::history::History;
use crate::history::object::{ObjectOperation, ObjectSight, ObjectVerb, ObjectWatchRecord};

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    let mut watches: BTreeMap<u32, Vec<&ObjectWatchRecord>> = BTreeMap::new();
    for record in &history.object_watches {
        watches.entry(record.watch).or_default().push(record);
    }
    for records in watches.into_values() {
        check_watch(&records, &mut check);
    }
    check_lists(&history.object_operations, &mut check);
    check
}

fn check_watch(records: &[&ObjectWatchRecord], check: &mut Check) {
    let mut newest = 0;
    for record in records {
        let (version, may_repeat) = match &record.sight {
            ObjectSight::Listed { version, .. } | ObjectSight::Bookmark { version } => (*version, true),
            // Every event has a version of its own.
            ObjectSight::Applied(seen) | ObjectSight::Deleted(seen) => (seen.version, false),
            ObjectSight::Broken { .. } | ObjectSight::Expired => continue,
        };
        check.looked_at += 1;
        if version < newest || version == newest && !may_repeat {
            let text = format!(
                "watch {} ({}) at {:.3} s: resourceVersion {version} after {newest}",
                record.watch,
                record.scope,
                record.at_us as f64 / 1e6
            );
            check.violated(text, Vec::new());
        }
        newest = newest.max(version);
    }
}

fn check_lists(operations: &[ObjectOperation], check: &mut Check) {
    let mut answered: Vec<&ObjectOperation> =
        operations.iter().filter(|operation| operation.version().is_some()).collect();
    answered.sort_by_key(|operation| operation.return_us);
    let mut lists: Vec<&ObjectOperation> =
        answered.iter().copied().filter(|operation| operation.verb == ObjectVerb::List).collect();
    lists.sort_by_key(|operation| operation.call_us);
    let mut before = answered.into_iter().peekable();
    let mut newest: Option<&ObjectOperation> = None;
    for list in lists {
        while let Some(known) = before.next_if(|known| known.return_us < list.call_us) {
            if newest.is_none_or(|newest| newest.version() < known.version()) {
                newest = Some(known);
            }
        }
        check.looked_at += 1;
        if let Some(known) = newest.filter(|known| known.version() > list.version()) {
            let text = format!(
                "a list is older than what was acknowledged before it:\n  {}\n  {}",
                known.describe(),
                list.describe()
            );
            check.violated_by_objects(text, [known, list]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::object_fixture::{self, *};
    use super::*;

    fn judge(sights: Vec<ObjectSight>) -> Check {
        check(&History { object_watches: watching(sights), ..History::default() })
    }

    #[test]
    fn a_watcher_never_goes_back() {
        let listed = |version| ObjectSight::Listed { version, objects: Vec::new() };
        let applied = |version| ObjectSight::Applied(config_map("a", "1", version));
        assert!(
            judge(vec![listed(4), applied(5), ObjectSight::Bookmark { version: 5 }, applied(6)])
                .violations
                .is_empty()
        );
        assert!(judge(vec![listed(4), applied(6), applied(5)]).violations[0].text.contains("5 after 6"));
        assert_eq!(judge(vec![applied(6), applied(6)]).violations.len(), 1, "one event came twice");
        assert_eq!(judge(vec![applied(6), ObjectSight::Expired, listed(5)]).violations.len(), 1);
    }

    #[test]
    fn a_list_shows_what_was_acknowledged_before() {
        let judge = |version| {
            let operations = vec![create("a", "1", object_fixture::ok(7)), list(object_fixture::ok(version))];
            check(&object_fixture::history(operations, vec![]))
        };
        assert!(judge(7).violations.is_empty());
        assert!(judge(6).violations[0].text.contains("older than what was acknowledged"));
    }
}
