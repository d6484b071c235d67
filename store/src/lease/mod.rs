//! Leases: keys that live as long as somebody says so.
//!
//! What a lease *is* (id, time to live, keys) is state: it changes only through apply and is the same on every member.
//! When it *ends* is known to the leader alone: it keeps deadlines in memory, renews them without consensus, and asks for
//! revokes, which are commands again. Guaranteed: no key of a lease outlives a committed revoke; no lease is revoked
//! before its time to live has passed since the last renewal that this leader answered. *Not* promised: an upper bound;
//! a new leader gives every lease its full time again. Source: etcd v3.6 `server/lease/lessor.go`.

pub mod expiry;
pub mod lessor;
pub mod terms;

pub use lessor::{Lessor, NotPrimary, TimeToLive};
pub use terms::Terms;

#[cfg(test)]
mod model_test;
