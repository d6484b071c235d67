//! What a lock guards is never written with an older token after a newer one. Source: etcd's documentation of locks ("use
//! the lock's revision as a fencing token"); Kleppmann, "How to do distributed locking", 2016.
//!
//! A guarded write is a transaction that compares the create revision of the lock's key and puts one value. The order of
//! the writes is that of their revisions, as acknowledgements and watches tell them.

use std::collections::{BTreeMap, HashMap};

use super::Check;
use super::events::Changes;
use crate::history::{Expected, History, Operation, Request};

pub fn check(history: &History) -> Check {
    let mut guarded: HashMap<(&str, &str), (i64, &Operation)> = HashMap::new();
    for operation in &history.operations {
        if let Some((key, value, token)) = guarded_write(&operation.request) {
            guarded.insert((key, value), (token, operation));
        }
    }
    let mut check = Check::default();
    let mut newest: BTreeMap<&str, (i64, &Operation)> = BTreeMap::new();
    for (revision, keys) in &Changes::known(history).by_revision {
        for (key, change) in keys {
            let written = change.value.and_then(|value| guarded.get(&(key, value)));
            let Some(&(token, operation)) = written else { continue };
            check.looked_at += 1;
            let known = newest.entry(key).or_insert((token, operation));
            if token < known.0 {
                let text = format!(
                    "{key} was written at revision {revision} with token {token}, after token {}:\n  {}\n  {}",
                    known.0,
                    known.1.describe(),
                    operation.describe()
                );
                check.violated(text, vec![known.1.clone(), operation.clone()]);
            } else {
                *known = (token, operation);
            }
        }
    }
    check
}

/// Key, value and token.
fn guarded_write(request: &Request) -> Option<(&str, &str, i64)> {
    let Request::Txn { compare, success, .. } = request else { return None };
    let ([compare], [Request::Put { key, value, .. }]) = (compare.as_slice(), success.as_slice()) else {
        return None;
    };
    match compare.expected {
        Expected::CreateRevision(token) => Some((key, value, token)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;
    use crate::history::Compare;

    fn write(times: (u64, u64), token: i64, value: &str, revision: i64) -> Operation {
        let compare = vec![Compare { key: format!("l/{token}"), expected: Expected::CreateRevision(token) }];
        let success = vec![put("guarded", value)];
        op(1, times, Request::Txn { compare, success, failure: Vec::new() }, won(revision))
    }

    #[test]
    fn tokens_that_rise_are_fine() {
        let writes = vec![write((0, 1), 5, "a", 6), write((2, 3), 5, "b", 7), write((4, 5), 9, "c", 10)];
        let check = check(&history(writes));
        assert!(check.violations.is_empty() && check.looked_at == 3, "{check:#?}");
    }

    #[test]
    fn an_old_token_after_a_new_one_is_refused() {
        let stale = check(&history(vec![write((0, 1), 9, "a", 10), write((2, 3), 5, "b", 11)]));
        assert!(stale.violations[0].text.contains("with token 5, after token 9"), "{stale:#?}");
        // The write's own client does not know, but the watch does.
        let mut seen = watching(vec![asked(1), created(1), events(11, &[event("guarded", "b", 11)])]);
        let unsure = Operation { outcome: unknown(), ..write((2, 3), 5, "b", 0) };
        seen.operations = vec![write((0, 1), 9, "a", 10), unsure];
        assert_eq!(check(&seen).violations.len(), 1);
    }
}
