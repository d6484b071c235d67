//! Every acknowledged write is there at the end, or something newer is. Source: etcd's API guarantees, "durable"; etcd
//! #14370 lost acknowledged writes of a single member at a power cut.
//!
//! Needs neither watch nor search: the final state of each member must hold, for every key, at least the newest revision
//! that was acknowledged.

use std::collections::BTreeMap;

use super::Check;
use super::events::acknowledged_writes;
use crate::history::{FinalState, History, Kv, Operation, Outcome, Request};

pub fn check(history: &History) -> Check {
    let mut newest: BTreeMap<&str, (i64, Option<&str>, &Operation)> = BTreeMap::new();
    for operation in &history.operations {
        for (revision, key, value) in acknowledged_writes(operation) {
            let known = newest.entry(key).or_insert((revision, value, operation));
            if known.0 <= revision {
                *known = (revision, value, operation);
            }
        }
    }
    let mut check = Check::default();
    for state in &history.finals {
        let kvs: BTreeMap<&str, &Kv> = state.kvs.iter().map(|kv| (kv.key.as_str(), kv)).collect();
        for (key, (revision, value, operation)) in &newest {
            check.looked_at += 1;
            let held = kvs.get(key);
            let lost = match (held, value) {
                (Some(kv), Some(value)) => {
                    kv.mod_revision < *revision || (kv.mod_revision == *revision && kv.value != *value)
                }
                (Some(kv), None) => kv.mod_revision <= *revision,
                // Something may have deleted it since: an unknown delete, a lease.
                (None, Some(_)) => state.revision < *revision || !may_be_deleted(history, key),
                (None, None) => false,
            };
            if lost {
                let text = lost_text(state, key, operation);
                check.violated(text, vec![(*operation).clone()]);
            }
        }
    }
    check
}

fn lost_text(state: &FinalState, key: &str, operation: &Operation) -> String {
    let held = state.kvs.iter().find(|kv| kv.key == key);
    let held =
        held.map_or("nothing".to_owned(), |kv| format!("{} of revision {}", kv.value, kv.mod_revision));
    format!(
        "at revision {} {} holds for {key}: {held}; lost is\n  {}",
        state.revision,
        state.member,
        operation.describe()
    )
}

/// Whether anything in the run could take the key away without being known to have done so.
fn may_be_deleted(history: &History, key: &str) -> bool {
    history.operations.iter().any(|operation| {
        !matches!(operation.outcome, Outcome::Fail { .. }) && may_delete(&operation.request, key)
    })
}

fn may_delete(request: &Request, of: &str) -> bool {
    match request {
        Request::Delete { key } => key == of,
        Request::Put { key, lease, .. } => key == of && *lease != 0,
        Request::Txn { success, failure, .. } => {
            success.iter().chain(failure).any(|request| may_delete(request, of))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    fn judge(operations: Vec<Operation>, kvs: Vec<crate::history::Kv>) -> Check {
        let state = FinalState { member: "m1".to_owned(), revision: 9, kvs, hash: None, compact_revision: 0 };
        check(&History { operations, finals: vec![state], ..History::default() })
    }

    #[test]
    fn a_key_that_is_gone_or_old_is_refused() {
        let written = || vec![op(1, (0, 1), put("x", "a"), done(2)), op(1, (2, 3), put("x", "b"), done(5))];
        assert!(judge(written(), vec![kv("x", "b", 5)]).violations.is_empty());
        assert!(judge(written(), vec![kv("x", "c", 7)]).violations.is_empty(), "an unknown write may follow");
        assert!(
            judge(written(), vec![kv("x", "a", 2)]).violations[0]
                .text
                .contains("holds for x: a of revision 2")
        );
        assert!(judge(written(), vec![]).violations[0].text.contains("holds for x: nothing"));
    }

    #[test]
    fn a_deleted_key_must_not_come_back() {
        let delete = Request::Delete { key: "x".to_owned() };
        let deleted = op(1, (2, 3), delete, ok(5, crate::history::Reply::Delete { deleted: 1 }));
        let operations = vec![op(1, (0, 1), put("x", "a"), done(2)), deleted];
        assert!(judge(operations.clone(), vec![]).violations.is_empty());
        assert_eq!(judge(operations, vec![kv("x", "a", 2)]).violations.len(), 1);
    }
}
