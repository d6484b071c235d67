//! What clients were told about how long each lease lives.
//!
//! A lease that is granted, or kept alive, with a TTL lives at least that long after the store began with the request,
//! which was not before its call. So `call + TTL` is promised, whatever the answer's way took; what is before it is early.
//! Clients and lab run on one machine and read one clock.

use std::collections::BTreeMap;

use crate::history::{History, Operation, Outcome, Reply, Request};

/// An answer that promises life.
#[derive(Clone, Copy)]
pub struct Promise<'a> {
    pub operation: &'a Operation,
    /// The lease lives at least until then.
    pub until_us: u64,
}

#[derive(Default)]
pub struct Life<'a> {
    /// Grant and keep-alives, by the time of their call.
    pub promises: Vec<Promise<'a>>,
    /// The first call of a revoke that may have taken effect.
    pub revoked_us: Option<u64>,
}

impl<'a> Life<'a> {
    /// The lease's holder knew from `from_us` on, without a gap, that the lease lived; until when?
    pub fn known_until(&self, from_us: u64) -> u64 {
        let mut until = from_us;
        // A promise counts from its answer on; what came after the end does not bring the lease back.
        for promise in &self.promises {
            if promise.operation.return_us <= until.max(from_us) {
                until = until.max(promise.until_us);
            }
        }
        self.revoked_us.map_or(until, |revoked| until.min(revoked))
    }
}

/// Of every lease that somebody asked about, by its id.
pub fn lives(history: &History) -> BTreeMap<i64, Life<'_>> {
    let mut lives: BTreeMap<i64, Life> = BTreeMap::new();
    let mut by_call: Vec<&Operation> = history.operations.iter().collect();
    by_call.sort_by_key(|operation| operation.call_us);
    for operation in by_call {
        match (&operation.request, &operation.outcome) {
            (
                Request::LeaseGrant { id, .. } | Request::LeaseKeepAlive { id },
                Outcome::Ok { reply: Reply::Lease { ttl_seconds, .. }, .. },
            ) if *ttl_seconds > 0 => {
                let until_us = operation.call_us + ttl_seconds.unsigned_abs() * 1_000_000;
                lives.entry(*id).or_default().promises.push(Promise { operation, until_us });
            }
            (Request::LeaseRevoke { id }, Outcome::Ok { .. } | Outcome::Unknown { .. }) => {
                lives.entry(*id).or_default().revoked_us.get_or_insert(operation.call_us);
            }
            _ => {}
        }
    }
    lives
}
