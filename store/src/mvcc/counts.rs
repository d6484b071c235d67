//! What happened to keys and leases since the start of the process, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counts {
    pub puts: Count,
    pub deletes: Count,
    pub ranges: Count,
    pub txns: Count,
    pub lease_grants: Count,
    pub lease_revokes: Count,
    pub lease_renewals: Count,
}

#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
