//! No object is lost: what a Kubernetes client was told is kept is there after healing, unless somebody deleted it; and
//! what it was told is gone stays gone.
//!
//! Source: the API's promise that a write that is answered with 2xx is durable; etcd's `no lost write`, one level up.

use std::collections::BTreeMap;

use super::Check;
use crate::history::History;
use crate::history::object::{Facts, ObjectOperation, ObjectOutcome, ObjectVerb, Seen};

/// Writes of an object that are shown.
const SHOWN: usize = 4;

pub fn check(history: &History) -> Check {
    let Some(fixpoint) = history.fixpoints.last() else { return Check::default() };
    let last: BTreeMap<&str, &Seen> =
        fixpoint.objects.iter().map(|seen| (seen.object.as_str(), seen)).collect();
    let mut by_object: BTreeMap<&str, Vec<&ObjectOperation>> = BTreeMap::new();
    for operation in history.object_operations.iter().filter(|operation| operation.writes()) {
        by_object.entry(&operation.object).or_default().push(operation);
    }
    let mut check = Check::default();
    for (object, writes) in by_object {
        check.looked_at += 1;
        if let Some(problem) = problem(&writes, last.get(object).copied()) {
            let last = &writes[writes.len().saturating_sub(SHOWN)..];
            let shown: Vec<String> = last.iter().map(|write| write.describe()).collect();
            let text = format!("{object}: {problem}; its last writes:\n  {}", shown.join("\n  "));
            check.violated_by_objects(text, last.iter().copied());
        }
    }
    check
}

fn problem(writes: &[&ObjectOperation], last: Option<&Seen>) -> Option<String> {
    let (version, newest) = newest_acknowledged(writes)?;
    let is_delete = newest.verb == ObjectVerb::Delete;
    let Some(seen) = last else {
        // Whatever was called before the acknowledgement and never answered may come later.
        let may_be_deleted = writes.iter().any(|write| {
            write.verb == ObjectVerb::Delete
                && !matches!(write.outcome, ObjectOutcome::Fail { .. })
                && write.return_us > newest.call_us
        });
        return (!is_delete && !may_be_deleted)
            .then(|| format!("acknowledged at resourceVersion {version}, and nothing is there"));
    };
    if seen.version < version {
        return Some(format!("acknowledged at resourceVersion {version}, and {} is there", seen.version));
    }
    let value = match &seen.facts {
        Facts::Value(value) => value,
        Facts::Pod { .. } | Facts::Service { .. } | Facts::Slice { .. } => return None,
    };
    let written = |write: &&&ObjectOperation| write.value == *value && write.verb != ObjectVerb::Delete;
    match writes.iter().find(written) {
        None => Some(format!("{value:?} is there, which nobody wrote")),
        // A delete of a later version than what is there would have had to take it away.
        Some(_) if is_delete => Some(format!("deleted at resourceVersion {version}, and {value:?} is there"))
            .filter(|_| !came_later(writes, newest, value)),
        Some(_) if seen.version == version && newest.value != *value => Some(format!(
            "{:?} was acknowledged at resourceVersion {version}, {value:?} is there",
            newest.value
        )),
        Some(_) => None,
    }
}

/// Whether the write of `value` may have been made after `delete`.
fn came_later(writes: &[&ObjectOperation], delete: &ObjectOperation, value: &str) -> bool {
    writes.iter().any(|write| write.value == value && write.return_us > delete.call_us)
}

fn newest_acknowledged<'a>(writes: &[&'a ObjectOperation]) -> Option<(u64, &'a ObjectOperation)> {
    let acknowledged = writes.iter().filter_map(|write| Some((write.version()?, *write)));
    acknowledged.max_by_key(|(version, write)| (*version, write.verb == ObjectVerb::Delete))
}

#[cfg(test)]
mod tests {
    use super::super::object_fixture::*;
    use super::*;

    fn judge(writes: Vec<ObjectOperation>, last: Vec<Seen>) -> Check {
        check(&history(writes, last))
    }

    #[test]
    fn what_was_acknowledged_is_there() {
        let writes = || vec![create("a", "1", ok(5)), update("a", "2", ok(7))];
        assert!(judge(writes(), vec![config_map("a", "2", 7)]).violations.is_empty());
        assert!(judge(writes(), vec![]).violations[0].text.contains("nothing is there"));
        assert!(judge(writes(), vec![config_map("a", "1", 5)]).violations[0].text.contains("5 is there"));
        assert!(judge(writes(), vec![config_map("a", "1", 7)]).violations[0].text.contains("\"1\" is there"));
        assert!(judge(writes(), vec![config_map("a", "9", 9)]).violations[0].text.contains("nobody wrote"));
    }

    #[test]
    fn an_unanswered_write_may_be_there_or_not() {
        let writes = || vec![create("a", "1", ok(5)), update("a", "2", unknown())];
        assert!(judge(writes(), vec![config_map("a", "1", 5)]).violations.is_empty());
        assert!(judge(writes(), vec![config_map("a", "2", 9)]).violations.is_empty());
        let deleted = vec![create("a", "1", ok(5)), delete("a", unknown())];
        assert!(judge(deleted, vec![]).violations.is_empty());
    }

    #[test]
    fn what_was_deleted_stays_away() {
        let writes = || vec![create("a", "1", ok(5)), delete("a", ok(6))];
        assert!(judge(writes(), vec![]).violations.is_empty());
        assert!(judge(writes(), vec![config_map("a", "1", 6)]).violations[0].text.contains("deleted at"));
        let mut again = writes();
        again.push(create("a", "2", ok(8)));
        assert!(judge(again, vec![config_map("a", "2", 8)]).violations.is_empty());
    }
}
