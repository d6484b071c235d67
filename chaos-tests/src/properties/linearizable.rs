//! Linearizability of reads, writes and transactions, from what clients saw alone.
//!
//! Source: etcd's API guarantees ("strict serializability" of all but serializable reads). Operations are split into
//! groups that share keys; one order must exist for each group (locality: Herlihy and Wing, 1990). A group in which
//! somebody writes what the model does not know (revisions, leases, locks) is left to `serial_by_revision`.

use std::collections::{BTreeMap, HashSet};

use super::model::{self, State};
use super::search::{Found, Interval, search};
use super::{Check, Violation};
use crate::history::{History, Operation, Outcome, Reply, Request};

/// Operations shown before and after the place where no order goes on.
const SHOWN: usize = 8;

pub fn check(history: &History) -> Check {
    let possible: Vec<&Operation> =
        history.operations.iter().filter(|done| !matches!(done.outcome, Outcome::Fail { .. })).collect();
    let mut check = Check::default();
    for (keys, mut group) in groups(&possible) {
        if group.iter().any(|done| done.request.writes() && !model::understands(&done.request)) {
            continue;
        }
        group.retain(|operation| model::understands(&operation.request));
        check.looked_at += group.len();
        let group = without_unseen(group);
        match order(&group) {
            Found::Order => {}
            Found::GaveUp => check.undecided.push(format!(
                "{keys}: the search for an order of {} operations was given up; retire keys sooner or lower the rate",
                group.len()
            )),
            Found::NoOrder { longest, stuck } => {
                check.violations.push(explain(&keys, &group, &longest, &stuck));
            }
        }
    }
    check
}

fn order(group: &[&Operation]) -> Found {
    let intervals: Vec<Interval> = group
        .iter()
        .map(|operation| Interval {
            call_us: operation.call_us,
            return_us: operation.revision().map(|_| operation.return_us),
        })
        .collect();
    search(&intervals, State::new(), |state, number| {
        model::step(state, &group[number].request, &group[number].outcome)
    })
}

/// Operations that speak about the same keys, directly or through others.
fn groups<'a>(operations: &[&'a Operation]) -> BTreeMap<String, Vec<&'a Operation>> {
    let mut group_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut parent: Vec<usize> = Vec::new();
    let find = |parent: &[usize], mut group: usize| {
        while parent[group] != group {
            group = parent[group];
        }
        group
    };
    for operation in operations {
        let mut root = None;
        for key in keys_of(operation) {
            let group = *group_of.entry(key).or_insert_with(|| {
                parent.push(parent.len());
                parent.len() - 1
            });
            let group = find(&parent, group);
            parent[group] = *root.get_or_insert(group);
        }
    }
    let mut members: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (key, group) in &group_of {
        members.entry(find(&parent, *group)).or_default().push(key);
    }
    let mut found: BTreeMap<String, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        let keys = keys_of(operation);
        let Some(first) = keys.first() else { continue };
        let name = members[&find(&parent, group_of[first])].join(" ");
        found.entry(name).or_default().push(operation);
    }
    found
}

/// Of the request, and the key that a lock made.
fn keys_of(operation: &Operation) -> Vec<&str> {
    let mut keys = model::keys(&operation.request);
    if let Some(Reply::Lock { key }) = operation.reply() {
        keys.push(key);
    }
    keys
}

/// Leaves out writes of unknown outcome whose value nobody ever saw. If an order with such a write exists, the order
/// without it is as good: no answer tells the two apart. They are what makes the search long. A group in which
/// existence is seen without the value (a delete's count, a comparison that found no key) keeps all of them.
fn without_unseen(group: Vec<&Operation>) -> Vec<&Operation> {
    if group.iter().any(|operation| sees_existence(&operation.request)) {
        return group;
    }
    let seen: HashSet<&str> =
        group.iter().filter_map(|operation| operation.reply()).flat_map(values_seen).collect();
    let expected: HashSet<&str> = group.iter().flat_map(|operation| values_expected(operation)).collect();
    group
        .into_iter()
        .filter(|operation| {
            operation.reply().is_some()
                || values_written(&operation.request)
                    .iter()
                    .any(|value| seen.contains(value) || expected.contains(value))
        })
        .collect()
}

fn sees_existence(request: &Request) -> bool {
    match request {
        Request::Delete { .. } => true,
        Request::Txn { success, failure, .. } => success.iter().chain(failure).any(sees_existence),
        _ => false,
    }
}

fn values_seen(reply: &Reply) -> Vec<&str> {
    match reply {
        Reply::Range { kvs, .. } => kvs.iter().map(|kv| kv.value.as_str()).collect(),
        Reply::Txn { replies, .. } => replies.iter().flat_map(values_seen).collect(),
        _ => Vec::new(),
    }
}

/// A comparison names a value: that it held says that the value was there.
fn values_expected(operation: &Operation) -> Vec<&str> {
    match &operation.request {
        Request::Txn { compare, .. } => compare
            .iter()
            .filter_map(|compare| match &compare.expected {
                crate::history::Expected::Value(value) => Some(value.as_str()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn values_written(request: &Request) -> Vec<&str> {
    match request {
        Request::Put { value, .. } => vec![value],
        Request::Txn { success, failure, .. } => {
            success.iter().chain(failure).flat_map(values_written).collect()
        }
        _ => Vec::new(),
    }
}

fn explain(keys: &str, group: &[&Operation], longest: &[usize], stuck: &[usize]) -> Violation {
    let mut text = vec![format!(
        "{keys}: no order of these {} operations explains what they saw; the longest one ends with",
        group.len()
    )];
    let tail = &longest[longest.len().saturating_sub(SHOWN)..];
    text.extend(tail.iter().map(|&number| format!("  {}", group[number].describe())));
    let mut state = State::new();
    for &number in longest {
        state = model::step(&state, &group[number].request, &group[number].outcome).unwrap_or(state);
    }
    let state: Vec<_> = state.iter().map(|(key, value)| format!("{key}={value}")).collect();
    text.push(format!("after which the store holds [{}], and none of these fits:", state.join(" ")));
    let next: Vec<usize> = stuck.iter().copied().take(SHOWN).collect();
    text.extend(next.iter().map(|&number| format!("  {}", group[number].describe())));
    let shown = tail.iter().chain(&next).map(|&number| group[number].clone()).collect();
    Violation { text: text.join("\n"), operations: shown, object_operations: Vec::new() }
}

#[cfg(test)]
#[path = "linearizable_test.rs"]
mod tests;
