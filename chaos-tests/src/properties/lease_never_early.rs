//! A lease and its keys are there until the TTL after the last keep-alive that was answered. Source: etcd's Lease API ("the
//! lease expires if the server does not receive a keepAlive within a given time to live period"); etcd #15247 let a deposed
//! leader revoke leases that its successor kept alive.
//!
//! Judged are keys that nothing but puts with one lease ever wrote, and leases that nobody had revoked. A key counts as
//! gone when a watch tells its delete or a read does not find it: it was gone then, and perhaps before.

use std::collections::BTreeMap;

use super::Check;
use super::lease_life::{Life, lives};
use crate::history::{History, Operation, Outcome, Reply, Request, WatchSight};

/// How the end of a lease was noticed.
struct End {
    at_us: u64,
    what: String,
    operation: Option<Operation>,
}

/// A key that only puts with one lease ever wrote.
struct Attached {
    /// `None`: other requests write it too.
    lease: Option<i64>,
    /// Of the first put that was acknowledged.
    revision: Option<i64>,
}

pub fn check(history: &History) -> Check {
    let lives = lives(history);
    let keys = attached(history);
    let mut ends: BTreeMap<i64, Vec<End>> = BTreeMap::new();
    deleted_keys(history, &keys, &mut ends);
    missing_keys(history, &keys, &mut ends);
    refused_leases(history, &mut ends);
    let mut check = Check::default();
    let mut latest_us = None;
    for (lease, life) in &lives {
        check.looked_at += life.promises.len();
        let Some(ends) = ends.get_mut(lease) else { continue };
        ends.retain(|end| life.revoked_us.is_none_or(|revoked| end.at_us < revoked));
        ends.sort_by_key(|end| end.at_us);
        let Some(end) = ends.first() else { continue };
        judge(*lease, life, end, &mut check);
        let late = life.promises.iter().map(|promise| promise.until_us).max();
        latest_us = latest_us.max(late.map(|until| end.at_us.saturating_sub(until)));
    }
    if let Some(latest) = latest_us {
        check.notes.push(format!("the latest expiry was seen {:.2} s after its time", latest as f64 / 1e6));
    }
    check
}

fn judge(lease: i64, life: &Life, end: &End, check: &mut Check) {
    let broken = life
        .promises
        .iter()
        .filter(|promise| end.at_us < promise.until_us)
        .max_by_key(|promise| promise.until_us);
    if let Some(promise) = broken {
        let seconds = |us: u64| us as f64 / 1e6;
        let text = format!(
            "lease {lease:x} was over at {:.3} s ({}), and was promised until {:.3} s by\n  {}",
            seconds(end.at_us),
            end.what,
            seconds(promise.until_us),
            promise.operation.describe()
        );
        let operations = std::iter::once(promise.operation.clone()).chain(end.operation.clone()).collect();
        check.violated(text, operations);
    }
}

fn attached(history: &History) -> BTreeMap<&str, Attached> {
    let mut found = BTreeMap::new();
    for operation in history.operations.iter().filter(|done| !matches!(done.outcome, Outcome::Fail { .. })) {
        note_writes(&operation.request, operation.revision(), &mut found);
    }
    found
}

fn note_writes<'a>(request: &'a Request, revision: Option<i64>, found: &mut BTreeMap<&'a str, Attached>) {
    let (key, by) = match request {
        Request::Put { key, lease, .. } => (key, (*lease != 0).then_some(*lease)),
        Request::Delete { key } => (key, None),
        Request::Txn { success, failure, .. } => {
            // Of which branch was taken nothing is said here: such keys are only kept out.
            return success.iter().chain(failure).filter(|request| request.writes()).for_each(|request| {
                if let Request::Put { key, .. } | Request::Delete { key } = request {
                    found.insert(key, Attached { lease: None, revision: None });
                }
            });
        }
        _ => return,
    };
    let known = found.entry(key).or_insert(Attached { lease: by, revision });
    known.revision = known.revision.or(revision);
    if known.lease != by {
        known.lease = None;
    }
}

fn deleted_keys(history: &History, keys: &BTreeMap<&str, Attached>, ends: &mut BTreeMap<i64, Vec<End>>) {
    for record in &history.watches {
        let WatchSight::Events(events) = &record.sight else { continue };
        for event in events.iter().filter(|event| event.deleted) {
            let Some(lease) = keys.get(event.kv.key.as_str()).and_then(|key| key.lease) else { continue };
            let what = format!("watch {} was told the delete of {}", record.watch, event.kv.key);
            ends.entry(lease).or_default().push(End { at_us: record.at_us, what, operation: None });
        }
    }
}

fn missing_keys(history: &History, keys: &BTreeMap<&str, Attached>, ends: &mut BTreeMap<i64, Vec<End>>) {
    for operation in &history.operations {
        let (Request::Get { key, .. }, Some(Reply::Range { kvs, .. })) =
            (&operation.request, operation.reply())
        else {
            continue;
        };
        let Some(Attached { lease: Some(lease), revision: Some(written) }) = keys.get(key.as_str()) else {
            continue;
        };
        if kvs.is_empty() && operation.revision() >= Some(*written) {
            let what = format!("{key} was not there");
            let end = End { at_us: operation.return_us, what, operation: Some(operation.clone()) };
            ends.entry(*lease).or_default().push(end);
        }
    }
}

/// Keep-alives that were told that there is no such lease, and puts that were refused for it.
fn refused_leases(history: &History, ends: &mut BTreeMap<i64, Vec<End>>) {
    for operation in &history.operations {
        let lease = match (&operation.request, &operation.outcome) {
            (
                Request::LeaseKeepAlive { id },
                Outcome::Ok { reply: Reply::Lease { ttl_seconds: ..=0, .. }, .. },
            ) => *id,
            (Request::Put { lease, .. }, Outcome::Fail { error }) if error.contains("lease not found") => {
                *lease
            }
            _ => continue,
        };
        let what = format!("client {} was told that there is no such lease", operation.client);
        let end = End { at_us: operation.return_us, what, operation: Some(operation.clone()) };
        ends.entry(lease).or_default().push(end);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    /// A lease of 2 s granted at 0, kept alive at 1 s, with one key.
    fn life(more: Vec<Operation>) -> Vec<Operation> {
        let put = Request::Put { key: "k".to_owned(), value: "v".to_owned(), lease: 7 };
        let mut operations = vec![
            op(1, (0, 10), grant(7, 2), promised(7, 2)),
            op(1, (20, 30), put, done(2)),
            op(1, (1000, 1010), Request::LeaseKeepAlive { id: 7 }, promised(7, 2)),
        ];
        operations.extend(more);
        operations
    }

    fn accepts(operations: Vec<Operation>) {
        let check = check(&history(operations));
        assert!(check.violations.is_empty() && check.looked_at == 2, "{check:#?}");
    }

    fn refuses(operations: Vec<Operation>, why: &str) {
        let check = check(&history(operations));
        assert!(check.violations.iter().any(|violation| violation.text.contains(why)), "{why}: {check:#?}");
    }

    #[test]
    fn a_key_that_goes_after_the_time_is_fine() {
        accepts(life(vec![op(2, (3001, 3002), get("k"), nothing(3))]));
    }

    #[test]
    fn a_key_that_goes_before_is_refused() {
        refuses(life(vec![op(2, (2400, 2500), get("k"), nothing(3))]), "k was not there");
        let mut told = history(life(vec![]));
        let gone = crate::history::Event { deleted: true, ..event("k", "", 3) };
        let mut watched = watching(vec![asked(1), created(1), events(3, &[gone])]).watches;
        watched.iter_mut().for_each(|record| record.at_us = 2_999_000);
        told.watches = watched;
        assert!(check(&told).violations[0].text.contains("was told the delete of k"), "{:#?}", check(&told));
    }

    #[test]
    fn a_lease_that_is_not_known_before_its_time_is_refused() {
        let keep_alive = op(1, (2000, 2010), Request::LeaseKeepAlive { id: 7 }, promised(7, 0));
        refuses(life(vec![keep_alive]), "told that there is no such lease");
    }

    #[test]
    fn a_revoke_may_end_it_at_any_time() {
        let revoke = op(1, (1500, 1600), Request::LeaseRevoke { id: 7 }, unknown());
        accepts(life(vec![revoke, op(2, (1700, 1800), get("k"), nothing(3))]));
    }

    #[test]
    fn a_read_from_before_the_key_says_nothing() {
        accepts(life(vec![op(2, (15, 40), get("k"), nothing(1))]));
    }
}
