//! Hand-made histories for the tests of properties: one line each.

use crate::history::{
    Compare, Event, Expected, History, Kv, Operation, Outcome, Reply, Request, WatchRecord, WatchSight,
};

pub fn history(operations: Vec<Operation>) -> History {
    History { operations, ..History::default() }
}

/// From `call` to `return`, in milliseconds.
pub fn op(client: u32, times: (u64, u64), request: Request, outcome: Outcome) -> Operation {
    Operation {
        client,
        member: format!("m{}", client % 3 + 1),
        call_us: times.0 * 1000,
        return_us: times.1 * 1000,
        request,
        outcome,
    }
}

pub fn put(key: &str, value: &str) -> Request {
    Request::Put { key: key.to_owned(), value: value.to_owned(), lease: 0 }
}

pub fn get(key: &str) -> Request {
    Request::Get { key: key.to_owned(), serializable: false }
}

pub fn cas(key: &str, from: Option<&str>, to: &str) -> Request {
    let expected = from.map_or(Expected::Absent, |from| Expected::Value(from.to_owned()));
    Request::Txn {
        compare: vec![Compare { key: key.to_owned(), expected }],
        success: vec![put(key, to)],
        failure: vec![get(key)],
    }
}

pub fn kv(key: &str, value: &str, mod_revision: i64) -> Kv {
    Kv {
        key: key.to_owned(),
        value: value.to_owned(),
        create_revision: mod_revision,
        mod_revision,
        version: 1,
        lease: 0,
    }
}

pub fn ok(revision: i64, reply: Reply) -> Outcome {
    Outcome::Ok { revision, reply }
}

pub fn done(revision: i64) -> Outcome {
    ok(revision, Reply::Put)
}

/// A read of one key.
pub fn saw(revision: i64, key: &str, value: &str) -> Outcome {
    ok(revision, range(&[kv(key, value, revision)]))
}

pub fn range(kvs: &[Kv]) -> Reply {
    Reply::Range { kvs: kvs.to_vec(), count: i64::try_from(kvs.len()).unwrap() }
}

pub fn nothing(revision: i64) -> Outcome {
    ok(revision, range(&[]))
}

pub fn won(revision: i64) -> Outcome {
    ok(revision, Reply::Txn { succeeded: true, replies: vec![Reply::Put] })
}

pub fn lost(revision: i64, key: &str, value: &str) -> Outcome {
    ok(revision, Reply::Txn { succeeded: false, replies: vec![range(&[kv(key, value, revision)])] })
}

pub fn unknown() -> Outcome {
    Outcome::Unknown { error: "no answer".to_owned() }
}

/// One watch on all keys, that is told these.
pub fn watching(sights: Vec<(i64, WatchSight)>) -> History {
    let record = |(number, (revision, sight)): (usize, (i64, WatchSight))| WatchRecord {
        client: 7,
        member: "m1".to_owned(),
        watch: 1,
        prefix: String::new(),
        at_us: 1000 * u64::try_from(number).unwrap(),
        revision,
        sight,
    };
    History { watches: sights.into_iter().enumerate().map(record).collect(), ..History::default() }
}

pub fn asked(start_revision: i64) -> (i64, WatchSight) {
    (0, WatchSight::Asked { start_revision, prev_kv: true })
}

pub fn created(revision: i64) -> (i64, WatchSight) {
    (revision, WatchSight::Created)
}

pub fn progress(revision: i64) -> (i64, WatchSight) {
    (revision, WatchSight::Progress)
}

pub fn events(revision: i64, events: &[Event]) -> (i64, WatchSight) {
    (revision, WatchSight::Events(events.to_vec()))
}

pub fn event(key: &str, value: &str, revision: i64) -> Event {
    Event { deleted: false, kv: kv(key, value, revision), prev: None }
}

pub fn grant(id: i64, ttl_seconds: i64) -> Request {
    Request::LeaseGrant { id, ttl_seconds }
}

/// A grant's or a keep-alive's answer; 0 says that there is no such lease.
pub fn promised(id: i64, ttl_seconds: i64) -> Outcome {
    ok(1, Reply::Lease { id, ttl_seconds })
}

pub fn lock(name: &str, lease: i64) -> Request {
    Request::Lock { name: name.to_owned(), lease }
}

pub fn held(key: &str) -> Outcome {
    ok(1, Reply::Lock { key: key.to_owned() })
}
