//! Hand-made histories of a Kubernetes API for the tests of properties.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::history::History;
use crate::history::object::{
    Facts, Fixpoint, ObjectOperation, ObjectOutcome, ObjectSight, ObjectVerb, ObjectWatchRecord, Seen,
};

/// Operations follow each other in the order in which they are made.
static CLOCK: AtomicU64 = AtomicU64::new(1);

pub fn history(object_operations: Vec<ObjectOperation>, objects: Vec<Seen>) -> History {
    let fixpoint = Fixpoint { objects, watched_us: 1, writes: Vec::new() };
    History { object_operations, fixpoints: vec![fixpoint], ..History::default() }
}

fn operation(verb: ObjectVerb, name: &str, value: &str, outcome: ObjectOutcome) -> ObjectOperation {
    let call_us = CLOCK.fetch_add(2, Ordering::Relaxed);
    ObjectOperation {
        client: 1,
        call_us,
        return_us: call_us + 1,
        verb,
        object: format!("ConfigMap n/{name}"),
        value: value.to_owned(),
        outcome,
    }
}

pub fn create(name: &str, value: &str, outcome: ObjectOutcome) -> ObjectOperation {
    operation(ObjectVerb::Create, name, value, outcome)
}

pub fn update(name: &str, value: &str, outcome: ObjectOutcome) -> ObjectOperation {
    operation(ObjectVerb::Update, name, value, outcome)
}

pub fn delete(name: &str, outcome: ObjectOutcome) -> ObjectOperation {
    operation(ObjectVerb::Delete, name, "", outcome)
}

pub fn list(outcome: ObjectOutcome) -> ObjectOperation {
    operation(ObjectVerb::List, "", "", outcome)
}

pub fn ok(version: u64) -> ObjectOutcome {
    ObjectOutcome::Ok { version }
}

pub fn unknown() -> ObjectOutcome {
    ObjectOutcome::Unknown { error: "no answer".to_owned() }
}

pub fn seen(object: &str, uid: &str, version: u64, facts: Facts) -> Seen {
    Seen { object: object.to_owned(), uid: uid.to_owned(), version, facts }
}

pub fn config_map(name: &str, value: &str, version: u64) -> Seen {
    seen(&format!("ConfigMap n/{name}"), name, version, Facts::Value(value.to_owned()))
}

/// A pod that runs on `w1` and is ready.
pub fn pod(name: &str, uid: &str, version: u64, ip: &str) -> Seen {
    let facts = Facts::Pod {
        node: "w1".to_owned(),
        ips: vec![ip.to_owned()],
        ready: true,
        over: false,
        app: "web".to_owned(),
        deleting: false,
    };
    seen(&format!("Pod n/{name}"), uid, version, facts)
}

/// One watch that is told these.
pub fn watching(sights: Vec<ObjectSight>) -> Vec<ObjectWatchRecord> {
    let record = |sight| ObjectWatchRecord {
        watch: 1,
        scope: "ConfigMap n".to_owned(),
        at_us: CLOCK.fetch_add(1, Ordering::Relaxed),
        sight,
    };
    sights.into_iter().map(record).collect()
}
