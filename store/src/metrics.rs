//! The member's metrics, under etcd's names and with its labels and buckets, so that its dashboards and alerts work.
//!
//! What is counted as it happens is a field here, or of [`crate::mvcc::counts`] and [`crate::watch::counts`] for what
//! happens there; what is a reading of the state is read when somebody asks.

mod health_checks;
pub mod instrument;
pub mod page;
pub mod peers;
mod process;

pub use health_checks::HealthChecks;
pub use instrument::{Counter, Gauge, Histogram};
pub use page::Page;
pub use peers::PeerMetrics;

use std::time::Duration;

use crate::http::health::{LIVEZ, READYZ};
use crate::mvcc::counts::Counts;
use crate::status::{CLUSTER_VERSION, Identity, SERVER_VERSION};
use crate::watch::WatchHub;

#[derive(Debug)]
pub struct Metrics {
    pub leader_changes_seen: Counter,
    pub proposals_pending: Gauge,
    pub proposals_failed: Counter,
    pub read_indexes_failed: Counter,
    pub read_indexes_slow: Counter,
    pub health_success: Counter,
    pub health_failures: Counter,
    pub livez: HealthChecks,
    pub readyz: HealthChecks,
    pub slow_apply: Counter,
    pub leases_expired: Counter,
    pub promotions: Counter,
    pub defragmentations: Gauge,
    pub defragment_seconds: Histogram,
    /// Of files for `Maintenance.Snapshot`.
    pub snapshot_file_seconds: Histogram,
    pub hash_seconds: Histogram,
    pub hash_kv_seconds: Histogram,
    pub range_seconds: RangeSeconds,
    pub log: LogMetrics,
    pub installs: InstallMetrics,
    pub peers: PeerMetrics,
}

/// Of the raft log.
#[derive(Debug, Clone)]
pub struct LogMetrics {
    pub fsync_seconds: Histogram,
    pub written_bytes: Counter,
}

impl Default for LogMetrics {
    fn default() -> Self {
        LogMetrics { fsync_seconds: disk_seconds(), written_bytes: Counter::default() }
    }
}

/// Of snapshots that a leader sends to this member.
#[derive(Debug, Clone)]
pub struct InstallMetrics {
    pub under_way: Gauge,
    pub fsync_seconds: Histogram,
    pub save_seconds: Histogram,
}

/// Of ranges, without the wait for the right to read.
#[derive(Debug, Clone)]
pub struct RangeSeconds {
    pub succeeded: Histogram,
    pub failed: Histogram,
}

impl RangeSeconds {
    pub fn observe(&self, well: bool, took: Duration) {
        let histogram = if well { &self.succeeded } else { &self.failed };
        histogram.observe(took.as_secs_f64());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// From 1 ms up, as etcd has it for whatever waits for the disk.
pub fn disk_seconds() -> Histogram {
    Histogram::exponential(0.001, 2.0, 14)
}

impl Metrics {
    pub fn new() -> Self {
        let request_seconds = || Histogram::exponential(0.0001, 2.0, 20);
        let hash_seconds = || Histogram::exponential(0.01, 2.0, 15);
        Metrics {
            leader_changes_seen: Counter::default(),
            proposals_pending: Gauge::default(),
            proposals_failed: Counter::default(),
            read_indexes_failed: Counter::default(),
            read_indexes_slow: Counter::default(),
            health_success: Counter::default(),
            health_failures: Counter::default(),
            livez: HealthChecks::new("livez", LIVEZ),
            readyz: HealthChecks::new("readyz", READYZ),
            slow_apply: Counter::default(),
            leases_expired: Counter::default(),
            promotions: Counter::default(),
            defragmentations: Gauge::default(),
            defragment_seconds: Histogram::exponential(0.1, 2.0, 13),
            snapshot_file_seconds: Histogram::exponential(0.01, 2.0, 17),
            hash_seconds: hash_seconds(),
            hash_kv_seconds: hash_seconds(),
            range_seconds: RangeSeconds { succeeded: request_seconds(), failed: request_seconds() },
            log: LogMetrics::default(),
            installs: InstallMetrics {
                under_way: Gauge::default(),
                fsync_seconds: disk_seconds(),
                save_seconds: Histogram::exponential(0.1, 2.0, 10),
            },
            peers: PeerMetrics::default(),
        }
    }

    /// What this member has to tell at this moment.
    pub fn render(&self, page: &mut Page, identity: &Identity, hub: &WatchHub) {
        self.of_server(page, identity);
        self.of_disk(page, identity);
        facts(page, identity);
        of_keys(page, identity);
        of_watches(page, hub);
        health_checks::render(page, &[&self.livez, &self.readyz]);
        let members: Vec<u64> = identity.mvcc.members().iter().map(|member| member.member_id).collect();
        self.peers.render(page, identity.member_id, &members);
        process::render(page);
    }

    fn of_server(&self, page: &mut Page, identity: &Identity) {
        let leadership = identity.consensus.leadership();
        let progress = identity.consensus.progress();
        let flag = |is_so: bool| f64::from(u8::from(is_so));
        page.level("etcd_server_has_leader", "1 if a leader is known", flag(leadership.leader.is_some()));
        page.level("etcd_server_is_leader", "1 if this member leads", flag(leadership.is_leader));
        page.level("etcd_server_is_learner", "1 if this member is a learner", flag(identity.is_learner()));
        let quota = identity.quota_bytes as f64;
        page.level("etcd_server_quota_backend_bytes", "Most bytes of the database; negative: any", quota);
        // etcd names these gauges like counters; so do its dashboards.
        let committed = progress.committed_index as f64;
        page.level("etcd_server_proposals_committed_total", "Index of the last committed entry", committed);
        let applied = progress.applied_index as f64;
        page.level("etcd_server_proposals_applied_total", "Index of the last applied entry", applied);
        let pending = "Proposals that wait for their reply";
        page.gauge("etcd_server_proposals_pending", pending, &self.proposals_pending);
        let installing = "1 while a leader's snapshot is installed";
        page.gauge("etcd_server_snapshot_apply_in_progress_total", installing, &self.installs.under_way);
        let counters: [(&str, &str, &Counter); 9] = [
            ("etcd_server_leader_changes_seen_total", "Leader changes seen", &self.leader_changes_seen),
            ("etcd_server_proposals_failed_total", "Proposals without a reply", &self.proposals_failed),
            ("etcd_server_read_indexes_failed_total", "Read barriers that failed", &self.read_indexes_failed),
            ("etcd_server_slow_read_indexes_total", "Read barriers that took long", &self.read_indexes_slow),
            ("etcd_server_slow_apply_total", "Applies that took too long", &self.slow_apply),
            ("etcd_server_health_success", "Health checks that passed", &self.health_success),
            ("etcd_server_health_failures", "Health checks that failed", &self.health_failures),
            ("etcd_server_learner_promote_successes", "Learners promoted by this member", &self.promotions),
            ("etcd_debugging_server_lease_expired_total", "Leases that ran out", &self.leases_expired),
        ];
        for (name, help, counter) in counters {
            page.counter(name, help, counter);
        }
        let name = "etcd_server_range_duration_seconds";
        page.family(name, "histogram", "Time to read a range");
        page.buckets(name, &[("success", "true")], &self.range_seconds.succeeded);
        page.buckets(name, &[("success", "false")], &self.range_seconds.failed);
    }

    fn of_disk(&self, page: &mut Page, identity: &Identity) {
        let counts = identity.mvcc.counts();
        let histograms: [(&str, &str, &Histogram); 8] = [
            (
                "etcd_disk_wal_fsync_duration_seconds",
                "Time to write and sync the raft log",
                &self.log.fsync_seconds,
            ),
            (
                "etcd_disk_backend_commit_duration_seconds",
                "Time to write a batch to the state",
                &counts.commit_seconds,
            ),
            ("etcd_disk_backend_defrag_duration_seconds", "Time to defragment", &self.defragment_seconds),
            (
                "etcd_disk_backend_snapshot_duration_seconds",
                "Time to make a snapshot file",
                &self.snapshot_file_seconds,
            ),
            ("etcd_mvcc_hash_duration_seconds", "Time to hash everything", &self.hash_seconds),
            ("etcd_mvcc_hash_rev_duration_seconds", "Time to hash a revision", &self.hash_kv_seconds),
            (
                "etcd_snap_db_fsync_duration_seconds",
                "Time to sync a received snapshot",
                &self.installs.fsync_seconds,
            ),
            (
                "etcd_snap_db_save_total_duration_seconds",
                "Time to receive a snapshot",
                &self.installs.save_seconds,
            ),
        ];
        for (name, help, histogram) in histograms {
            page.histogram(name, help, histogram);
        }
        page.gauge("etcd_disk_defrag_inflight", "1 while this member defragments", &self.defragmentations);
        let written = self.log.written_bytes.get() as f64;
        page.level("etcd_disk_wal_write_bytes_total", "Bytes written to the raft log", written);
        let size = identity.mvcc.size();
        let (total, in_use) = (size.total_bytes as f64, size.in_use_bytes as f64);
        page.level("etcd_mvcc_db_total_size_in_bytes", "Bytes that the state takes up", total);
        page.level("etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of live state", in_use);
    }
}

fn of_keys(page: &mut Page, identity: &Identity) {
    let mvcc = &identity.mvcc;
    let counts: &Counts = mvcc.counts();
    let counters: [(&str, &str, &Counter); 8] = [
        ("etcd_mvcc_put_total", "Puts", &counts.puts),
        ("etcd_mvcc_delete_total", "Deleted keys", &counts.deletes),
        ("etcd_mvcc_range_total", "Ranges", &counts.ranges),
        ("etcd_mvcc_txn_total", "Transactions", &counts.txns),
        ("etcd_debugging_lease_granted_total", "Granted leases", &counts.lease_grants),
        ("etcd_debugging_lease_revoked_total", "Revoked leases", &counts.lease_revokes),
        ("etcd_debugging_lease_renewed_total", "Renewals of leases", &counts.lease_renewals),
        ("etcd_debugging_mvcc_db_compaction_keys_total", "Versions removed", &counts.compacted_versions),
    ];
    for (name, help, counter) in counters {
        page.counter(name, help, counter);
    }
    let levels = [
        ("etcd_debugging_mvcc_current_revision", "Current revision", mvcc.revision() as f64),
        ("etcd_debugging_mvcc_compact_revision", "Compacted revision", mvcc.compact_revision() as f64),
        ("etcd_debugging_mvcc_keys_total", "Live keys", mvcc.key_count() as f64),
        (
            "etcd_debugging_mvcc_total_put_size_in_bytes",
            "Bytes of keys and values put",
            counts.put_bytes.get() as f64,
        ),
        (
            "etcd_debugging_mvcc_db_compaction_last",
            "When a compaction last ended, seconds since 1970",
            counts.compacted_at.get() as f64,
        ),
        ("etcd_debugging_auth_revision", "Revision of users and roles", mvcc.auth().revision() as f64),
    ];
    for (name, help, value) in levels {
        page.level(name, help, value);
    }
    page.histogram("etcd_debugging_lease_ttl_total", "Seconds that leases were granted", &counts.lease_ttls);
    page.histogram(
        "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
        "Time of one step of a compaction",
        &counts.compaction_step_ms,
    );
    page.histogram(
        "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
        "Time of a compaction",
        &counts.compaction_ms,
    );
}

fn of_watches(page: &mut Page, hub: &WatchHub) {
    let totals = hub.totals();
    let levels = [
        ("etcd_debugging_mvcc_watch_stream_total", "Watch streams", totals.streams),
        ("etcd_debugging_mvcc_watcher_total", "Watchers", totals.watchers),
        ("etcd_debugging_mvcc_slow_watcher_total", "Watchers that catch up", totals.behind),
        (
            "etcd_debugging_mvcc_pending_events_total",
            "Events that wait for their stream",
            totals.pending_events,
        ),
    ];
    for (name, help, value) in levels {
        page.level(name, help, value as f64);
    }
    page.count("etcd_debugging_mvcc_events_total", "Events sent to watchers", totals.sent_events);
}

/// What is said by a label, with the value 1.
fn facts(page: &mut Page, identity: &Identity) {
    let id = format!("{:x}", identity.member_id);
    let facts = [
        (
            "etcd_cluster_version",
            "Version of the cluster",
            "cluster_version",
            CLUSTER_VERSION.trim_end_matches(".0"),
        ),
        ("etcd_server_id", "Id of this member", "server_id", id.as_str()),
        (
            "etcd_server_version",
            "Version of etcd that this member stands in for",
            "server_version",
            SERVER_VERSION,
        ),
    ];
    for (name, help, label, value) in facts {
        page.family(name, "gauge", help);
        page.sample(name, &[(label, value)], 1.0);
    }
}
