//! The sequential store that a linearizable one must look like: a map from keys to values.
//!
//! Revisions are left out on purpose: this model explains what clients *saw*, without trusting a number that the store
//! gave out itself. `serial_by_revision` is the check that trusts and uses them. Source: etcd's API guarantees (KV).

use std::collections::BTreeMap;

use crate::history::{Compare, Expected, Outcome, Reply, Request};

/// Values of the keys that exist.
pub type State = BTreeMap<String, String>;

/// The state after the request, if the outcome could be seen in `state`; `None` if not.
pub fn step(state: &State, request: &Request, outcome: &Outcome) -> Option<State> {
    let reply = match outcome {
        Outcome::Ok { reply, .. } => Some(reply),
        Outcome::Unknown { .. } => None,
        Outcome::Fail { .. } => return Some(state.clone()),
    };
    let mut next = state.clone();
    apply(&mut next, request, reply).then_some(next)
}

/// Whether the model can judge it: comparing a revision needs revisions.
pub fn understands(request: &Request) -> bool {
    match request {
        Request::Get { serializable, .. } => !serializable,
        Request::List { revision, serializable, .. } => *revision == 0 && !serializable,
        // A lease would take the key away by itself.
        Request::Put { lease, .. } => *lease == 0,
        Request::Delete { .. } => true,
        Request::Txn { compare, success, failure } => {
            let by_revision = |compare: &Compare| {
                matches!(compare.expected, Expected::ModRevision(_) | Expected::CreateRevision(_))
            };
            !compare.iter().any(by_revision) && success.iter().chain(failure).all(understands)
        }
        Request::Compact { .. }
        | Request::LeaseGrant { .. }
        | Request::LeaseKeepAlive { .. }
        | Request::LeaseRevoke { .. }
        | Request::Lock { .. }
        | Request::Unlock { .. } => false,
    }
}

/// Keys, or prefixes of keys, that the request reads or writes.
pub fn keys(request: &Request) -> Vec<&str> {
    match request {
        Request::Get { key, .. } | Request::Put { key, .. } | Request::Delete { key } => vec![key],
        Request::List { prefix, .. } => vec![prefix],
        Request::Txn { compare, success, failure } => compare
            .iter()
            .map(|compare| compare.key.as_str())
            .chain(success.iter().chain(failure).flat_map(keys))
            .collect(),
        _ => Vec::new(),
    }
}

/// Changes `state`; false if the reply cannot be the answer. Without a reply every answer is possible.
fn apply(state: &mut State, request: &Request, reply: Option<&Reply>) -> bool {
    match (request, reply) {
        (Request::Get { key, .. }, Some(Reply::Range { kvs, .. })) => {
            let seen = kvs.first().map(|kv| &kv.value);
            seen == state.get(key)
        }
        (Request::List { prefix, .. }, Some(Reply::Range { kvs, .. })) => {
            let there = state.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(prefix.as_str()));
            kvs.iter().map(|kv| (&kv.key, &kv.value)).eq(there)
        }
        (Request::Put { key, value, .. }, _) => {
            state.insert(key.clone(), value.clone());
            matches!(reply, None | Some(Reply::Put))
        }
        (Request::Delete { key }, reply) => {
            let deleted = i64::from(state.remove(key).is_some());
            match reply {
                None => true,
                Some(Reply::Delete { deleted: seen }) => *seen == deleted,
                Some(_) => false,
            }
        }
        (Request::Txn { compare, success, failure }, reply) => {
            let holds = compare.iter().all(|compare| matches(state, compare));
            let chosen = if holds { success } else { failure };
            match reply {
                None => {
                    chosen.iter().for_each(|request| {
                        apply(state, request, None);
                    });
                    true
                }
                Some(Reply::Txn { succeeded, replies }) => {
                    *succeeded == holds
                        && chosen.len() == replies.len()
                        && chosen
                            .iter()
                            .zip(replies)
                            .all(|(request, reply)| apply(state, request, Some(reply)))
                }
                Some(_) => false,
            }
        }
        // A read without an answer says nothing.
        (Request::Get { .. } | Request::List { .. }, None) => true,
        _ => false,
    }
}

fn matches(state: &State, compare: &Compare) -> bool {
    let value = state.get(&compare.key);
    match &compare.expected {
        Expected::Value(expected) => value == Some(expected),
        Expected::Absent => value.is_none(),
        Expected::ModRevision(_) | Expected::CreateRevision(_) => {
            unreachable!("`understands` keeps these out")
        }
    }
}
