//! The member's metrics, under etcd's names, so that its dashboards and alerts work.
//!
//! What is counted as it happens is a field here; what is a reading of the state is read when somebody asks.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::status::Identity;

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub leader_changes_seen: Counter,
    pub proposals_pending: Gauge,
    pub proposals_failed: Counter,
    pub read_indexes_failed: Counter,
    pub snapshots_received: Counter,
    pub health_success: Counter,
    pub health_failures: Counter,
    pub log_fsync_seconds: Histogram,
    has_leader: Gauge,
    is_leader: Gauge,
    proposals_committed: Gauge,
    proposals_applied: Gauge,
    db_total_bytes: Gauge,
    db_in_use_bytes: Gauge,
    current_revision: Gauge,
    compact_revision: Gauge,
    keys: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let gauge = |registry: &mut Registry, name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let r = &mut registry;
        // From 1 ms up, as etcd's buckets.
        let log_fsync_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        r.register(
            "etcd_disk_wal_fsync_duration_seconds",
            "Time to write and sync the raft log",
            log_fsync_seconds.clone(),
        );
        Metrics {
            leader_changes_seen: counter(r, "etcd_server_leader_changes_seen", "Leader changes seen"),
            proposals_pending: gauge(
                r,
                "etcd_server_proposals_pending",
                "Proposals that wait for their reply",
            ),
            proposals_failed: counter(r, "etcd_server_proposals_failed", "Proposals without a reply"),
            read_indexes_failed: counter(r, "etcd_server_read_indexes_failed", "Read barriers that failed"),
            snapshots_received: counter(
                r,
                "etcd_network_snapshot_receive_success",
                "Snapshots received from a leader and installed",
            ),
            health_success: counter(r, "etcd_server_health_success", "Health checks that passed"),
            health_failures: counter(r, "etcd_server_health_failures", "Health checks that failed"),
            has_leader: gauge(r, "etcd_server_has_leader", "1 if a leader is known"),
            is_leader: gauge(r, "etcd_server_is_leader", "1 if this member leads"),
            // etcd names these gauges like counters; so do its dashboards.
            proposals_committed: gauge(
                r,
                "etcd_server_proposals_committed_total",
                "Index of the last committed entry",
            ),
            proposals_applied: gauge(
                r,
                "etcd_server_proposals_applied_total",
                "Index of the last applied entry",
            ),
            db_total_bytes: gauge(r, "etcd_mvcc_db_total_size_in_bytes", "Bytes that the state takes up"),
            db_in_use_bytes: gauge(r, "etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of live state"),
            current_revision: gauge(r, "etcd_debugging_mvcc_current_revision", "Current revision"),
            compact_revision: gauge(r, "etcd_debugging_mvcc_compact_revision", "Compacted revision"),
            keys: gauge(r, "etcd_debugging_mvcc_keys_total", "Live keys"),
            log_fsync_seconds,
            registry,
        }
    }

    /// The text of `/metrics`, with the readings of this moment.
    pub fn render(&self, identity: &Identity) -> String {
        let leadership = identity.consensus.leadership();
        let progress = identity.consensus.progress();
        let size = identity.mvcc.size();
        self.has_leader.set(i64::from(leadership.leader.is_some()));
        self.is_leader.set(i64::from(leadership.is_leader));
        self.proposals_committed.set(as_gauge(progress.committed_index));
        self.proposals_applied.set(as_gauge(progress.applied_index));
        self.db_total_bytes.set(as_gauge(size.total_bytes));
        self.db_in_use_bytes.set(as_gauge(size.in_use_bytes));
        self.current_revision.set(identity.mvcc.revision());
        self.compact_revision.set(identity.mvcc.compact_revision());
        self.keys.set(i64::try_from(identity.mvcc.key_count()).unwrap_or(i64::MAX));
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes any text");
        text
    }
}

fn as_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
