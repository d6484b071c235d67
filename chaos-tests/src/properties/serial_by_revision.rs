//! Every answer is the state of the store at the revision in its header, and revisions keep to real time.
//!
//! Source: etcd's API guarantees (strict serializability; revisions are its order), checked as etcd's tests/robustness do:
//! against the replayed order of events. The order comes from the witness, a watch over all keys that every run has; so
//! this also judges serializable reads and comparisons of revisions, which `linearizable` cannot. Where the witness has
//! a gap nothing is judged.

use std::collections::BTreeMap;

use super::Check;
use super::events::{acknowledged_writes, watches};
use crate::history::{Compare, Expected, History, Kv, Operation, Reply, Request};
use crate::workloads::witness;

/// key → its states, each from a revision on; `None` after a delete.
struct Order<'a> {
    keys: BTreeMap<&'a str, Vec<(i64, Option<&'a Kv>)>>,
    until: i64,
}

pub fn check(history: &History) -> Check {
    let Some(order) = Order::of(history) else { return Check::default() };
    let mut judged: Vec<&Operation> = history
        .operations
        .iter()
        .filter(|operation| operation.request.touches_keys())
        .filter(|operation| operation.revision().is_some_and(|revision| revision <= order.until))
        .collect();
    let mut check = Check::looked_at(judged.len());
    for operation in &judged {
        if let Some(reason) = order.refutes(operation) {
            check.violated(format!("{}\n  but {reason}", operation.describe()), vec![(*operation).clone()]);
        }
    }
    one_write_per_revision(&judged, &mut check);
    judged.retain(|operation| operation.request.is_linearizable());
    real_time(&judged, &mut check);
    check
}

/// What was acknowledged before a request was sent has no later revision than its answer.
fn real_time(operations: &[&Operation], check: &mut Check) {
    let mut by_return = operations.to_vec();
    by_return.sort_by_key(|operation| operation.return_us);
    let mut by_call = operations.to_vec();
    by_call.sort_by_key(|operation| operation.call_us);
    let mut returned = by_return.into_iter().peekable();
    let mut newest: Option<&Operation> = None;
    for operation in by_call {
        while let Some(earlier) = returned.next_if(|earlier| earlier.return_us < operation.call_us) {
            if newest.is_none_or(|newest| newest.revision() < earlier.revision()) {
                newest = Some(earlier);
            }
        }
        if let Some(newest) = newest.filter(|newest| newest.revision() > operation.revision()) {
            let text = format!(
                "{}\n  is older than what was already acknowledged:\n  {}",
                operation.describe(),
                newest.describe()
            );
            check.violated(text, vec![newest.clone(), operation.clone()]);
        }
    }
}

fn one_write_per_revision(operations: &[&Operation], check: &mut Check) {
    let mut writers: BTreeMap<i64, &Operation> = BTreeMap::new();
    for operation in operations {
        let Some((revision, ..)) = acknowledged_writes(operation).first().copied() else { continue };
        if let Some(other) = writers.insert(revision, operation) {
            let text =
                format!("two writes have one revision:\n  {}\n  {}", other.describe(), operation.describe());
            check.violated(text, vec![other.clone(), (*operation).clone()]);
        }
    }
}

impl<'a> Order<'a> {
    /// From the witness's first watch; None without one.
    fn of(history: &'a History) -> Option<Self> {
        let witness = watches(history).into_iter().find(|watch| watch.number == witness::CLIENT)?;
        let mut order = Self { keys: BTreeMap::new(), until: witness.told_until() };
        for (_, event) in witness.events() {
            let kv = (!event.deleted).then_some(&event.kv);
            order.keys.entry(&event.kv.key).or_default().push((event.kv.mod_revision, kv));
        }
        Some(order)
    }

    fn at(&self, key: &str, revision: i64) -> Option<&'a Kv> {
        let states = self.keys.get(key)?;
        let count = states.partition_point(|(since, _)| *since <= revision);
        states[..count].last().and_then(|(_, kv)| *kv)
    }

    /// Why this answer cannot be; None if it can.
    fn refutes(&self, operation: &Operation) -> Option<String> {
        let (revision, reply) = (operation.revision()?, operation.reply()?);
        for (_, key, value) in acknowledged_writes(operation) {
            let there =
                self.keys.get(key).and_then(|states| states.iter().find(|(since, _)| *since == revision));
            let seen = there.map(|(_, kv)| kv.map(|kv| kv.value.as_str()));
            if seen != Some(value) {
                return Some(format!("the witness saw at revision {revision} of {key}: {}", said(seen)));
            }
        }
        let wrote = !acknowledged_writes(operation).is_empty();
        self.reads_refute(&operation.request, reply, revision, wrote)
    }

    /// A transaction that wrote made its revision: it compared and read what was there before.
    fn reads_refute(&self, request: &Request, reply: &Reply, revision: i64, wrote: bool) -> Option<String> {
        let base = if wrote { revision - 1 } else { revision };
        match (request, reply) {
            (Request::Get { key, .. }, Reply::Range { kvs, .. }) => {
                let seen = kvs.first();
                let possible = [self.at(key, base), self.at(key, revision)];
                (!possible.contains(&seen))
                    .then(|| format!("at revision {revision} the store held {}", held(possible[1])))
            }
            (Request::List { prefix, revision: asked, .. }, Reply::Range { kvs, .. }) => {
                let at = if *asked == 0 { revision } else { *asked };
                let there = self
                    .keys
                    .range(prefix.as_str()..)
                    .take_while(|(key, _)| key.starts_with(prefix.as_str()));
                let there: Vec<&Kv> = there.filter_map(|(key, _)| self.at(key, at)).collect();
                (!kvs.iter().eq(there.iter().copied())).then(|| {
                    let there: Vec<_> = there.into_iter().map(|kv| held(Some(kv))).collect();
                    format!("at revision {at} the store held [{}]", there.join(", "))
                })
            }
            (Request::Delete { key }, Reply::Delete { deleted: 0 }) => self
                .at(key, revision)
                .map(|kv| format!("at revision {revision} the store held {}", held(Some(kv)))),
            (Request::Txn { compare, success, failure }, Reply::Txn { succeeded, replies }) => {
                let holds = compare.iter().all(|compare| self.holds(compare, base));
                if holds != *succeeded {
                    let word = if holds { "held" } else { "did not hold" };
                    return Some(format!("its comparison {word} at revision {base}"));
                }
                let chosen = if holds { success } else { failure };
                let mut parts = chosen.iter().zip(replies);
                parts.find_map(|(request, reply)| self.reads_refute(request, reply, revision, wrote))
            }
            _ => None,
        }
    }

    fn holds(&self, compare: &Compare, revision: i64) -> bool {
        let kv = self.at(&compare.key, revision);
        match &compare.expected {
            Expected::Value(value) => kv.is_some_and(|kv| kv.value == *value),
            Expected::ModRevision(expected) => kv.map_or(0, |kv| kv.mod_revision) == *expected,
            Expected::CreateRevision(expected) => kv.map_or(0, |kv| kv.create_revision) == *expected,
            Expected::Absent => kv.is_none(),
        }
    }
}

fn said(seen: Option<Option<&str>>) -> String {
    match seen {
        None => "no change of it".to_owned(),
        Some(None) => "its delete".to_owned(),
        Some(Some(value)) => value.to_owned(),
    }
}

fn held(kv: Option<&Kv>) -> String {
    kv.map_or("no such key".to_owned(), |kv| {
        format!("{}={} (modified at {})", kv.key, kv.value, kv.mod_revision)
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;
    use crate::history::Event;

    /// The witness saw these events; clients did these.
    fn judge(told: &[Event], operations: Vec<Operation>) -> Check {
        let mut history = watching(vec![asked(1), created(1), events(9, told), progress(100)]);
        history.watches.iter_mut().for_each(|record| record.watch = witness::CLIENT);
        history.operations = operations;
        check(&history)
    }

    fn refuses(told: &[Event], operations: Vec<Operation>, why: &str) {
        let check = judge(told, operations);
        assert!(check.violations.iter().any(|violation| violation.text.contains(why)), "{why}: {check:#?}");
    }

    #[test]
    fn answers_that_fit_their_revisions_are_fine() {
        let told = [event("x", "a", 2), event("x", "b", 3)];
        let operations = vec![
            op(1, (0, 1), put("x", "a"), done(2)),
            op(2, (2, 3), cas("x", Some("a"), "b"), won(3)),
            op(3, (4, 5), get("y"), nothing(3)),
        ];
        assert!(judge(&told, operations).violations.is_empty());
    }

    #[test]
    fn a_lost_or_changed_write_is_refused() {
        refuses(&[], vec![op(1, (0, 1), put("x", "a"), done(2))], "no change of it");
        refuses(
            &[event("x", "b", 2)],
            vec![op(1, (0, 1), put("x", "a"), done(2))],
            "the witness saw at revision 2 of x: b",
        );
    }

    #[test]
    fn a_read_of_another_revision_is_refused() {
        let told = [event("x", "a", 2), event("x", "b", 3)];
        refuses(&told, vec![op(1, (0, 1), get("x"), ok(3, range(&[kv("x", "a", 2)])))], "the store held x=b");
    }

    #[test]
    fn a_revision_that_goes_back_in_real_time_is_refused() {
        let told = [event("x", "a", 2), event("x", "b", 3)];
        let operations =
            vec![op(1, (0, 1), put("x", "b"), done(3)), op(2, (2, 3), get("x"), saw(2, "x", "a"))];
        refuses(&told, operations, "is older than what was already acknowledged");
    }

    #[test]
    fn a_comparison_that_did_not_hold_is_refused() {
        let told = [event("x", "a", 2), event("x", "c", 3)];
        refuses(&told, vec![op(2, (2, 3), cas("x", Some("b"), "c"), won(3))], "did not hold at revision 2");
    }
}
