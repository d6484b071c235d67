//! What happened to keys and leases since the start of the process, for the metrics.

use std::time::{Duration, UNIX_EPOCH};

use crate::host;
use crate::metrics::{Counter, Gauge, Histogram, disk_seconds};

#[derive(Debug)]
pub struct Counts {
    pub puts: Counter,
    /// Of keys and values.
    pub put_bytes: Counter,
    pub deletes: Counter,
    pub ranges: Counter,
    pub txns: Counter,
    pub lease_grants: Counter,
    pub lease_revokes: Counter,
    pub lease_renewals: Counter,
    /// Seconds, as they were granted.
    pub lease_ttls: Histogram,
    pub commit_seconds: Histogram,
    pub compacted_versions: Counter,
    /// When the last compaction ended, seconds since 1970.
    pub compacted_at: Gauge,
    pub compaction_step_ms: Histogram,
    pub compaction_ms: Histogram,
}

impl Counts {
    pub fn compaction_ended(&self, took: Duration, removed_versions: u64) {
        self.compaction_ms.observe(took.as_secs_f64() * 1000.0);
        self.compacted_versions.add(removed_versions);
        let now = host::wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.compacted_at.set(i64::try_from(now).unwrap_or(i64::MAX));
    }
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            puts: Counter::default(),
            put_bytes: Counter::default(),
            deletes: Counter::default(),
            ranges: Counter::default(),
            txns: Counter::default(),
            lease_grants: Counter::default(),
            lease_revokes: Counter::default(),
            lease_renewals: Counter::default(),
            lease_ttls: Histogram::exponential(1.0, 2.0, 24),
            commit_seconds: disk_seconds(),
            compacted_versions: Counter::default(),
            compacted_at: Gauge::default(),
            compaction_step_ms: Histogram::exponential(1.0, 2.0, 13),
            compaction_ms: Histogram::exponential(100.0, 2.0, 14),
        }
    }
}
