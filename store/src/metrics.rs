//! The member's metrics, under etcd's names, so that its dashboards and alerts work.
//!
//! What is counted as it happens is a field here; what is a reading of the state is read when somebody asks.

mod process;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::status::{CLUSTER_VERSION, Identity, SERVER_VERSION};

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
    pub slow_apply: Counter,
    pub log_fsync_seconds: Histogram,
    is_learner: Gauge,
    known_peers: Gauge,
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
            slow_apply: counter(r, "etcd_server_slow_apply", "Applies that took too long"),
            is_learner: gauge(r, "etcd_server_is_learner", "1 if this member is a learner"),
            known_peers: gauge(r, "etcd_network_known_peers", "Other members of the cluster"),
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
        self.is_learner.set(i64::from(identity.is_learner()));
        self.known_peers.set(i64::try_from(identity.mvcc.members().iter().count()).unwrap_or(i64::MAX) - 1);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes any text");
        let mut text = classic(&text);
        text.push_str(&facts(identity));
        text.push_str(&key_counts(identity));
        process::render(&mut text);
        text
    }
}

fn key_counts(identity: &Identity) -> String {
    let counts = identity.mvcc.counts();
    let changes = counts.puts.get() + counts.deletes.get();
    let count = |name: &str, help: &str, value: u64| {
        format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n")
    };
    [
        count("etcd_mvcc_put_total", "Puts", counts.puts.get()),
        count("etcd_mvcc_delete_total", "Deleted keys", counts.deletes.get()),
        count("etcd_mvcc_range_total", "Ranges", counts.ranges.get()),
        count("etcd_mvcc_txn_total", "Transactions", counts.txns.get()),
        count("etcd_debugging_mvcc_events_total", "Events", changes),
        count("etcd_debugging_lease_granted_total", "Granted leases", counts.lease_grants.get()),
        count("etcd_debugging_lease_revoked_total", "Revoked leases", counts.lease_revokes.get()),
        count("etcd_debugging_lease_renewed_total", "Renewals of leases", counts.lease_renewals.get()),
    ]
    .concat()
}

/// What is said by a label, with the value 1.
fn facts(identity: &Identity) -> String {
    let fact = |name: &str, help: &str, label: &str, value: &str| {
        format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{{label}=\"{value}\"}} 1\n")
    };
    let id = format!("{:x}", identity.member_id);
    let cluster_version = CLUSTER_VERSION.trim_end_matches(".0");
    [
        fact("etcd_cluster_version", "Version of the cluster", "cluster_version", cluster_version),
        fact("etcd_server_id", "Id of this member", "server_id", &id),
        fact(
            "etcd_server_version",
            "Version of etcd that this member stands in for",
            "server_version",
            SERVER_VERSION,
        ),
    ]
    .concat()
}

/// Counters that etcd names without the usual ending.
const BARE_COUNTERS: [&str; 3] =
    ["etcd_server_health_success", "etcd_server_health_failures", "etcd_network_snapshot_receive_success"];

/// OpenMetrics as the older text format, which is what etcd answers and what every scraper reads: there a counter's family
/// has the name of its sample.
fn classic(text: &str) -> String {
    let mut counter: Option<&str> = None;
    let mut out = String::with_capacity(text.len());
    let families: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let mut words = line.splitn(4, ' ');
        let family = match (words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP" | "TYPE"), Some(family)) => Some(family),
            _ => None,
        };
        if let Some(family) = family {
            counter = families.contains(&family).then_some(family);
        }
        let is_bare = counter.is_some_and(|family| BARE_COUNTERS.contains(&family));
        match (counter, family) {
            (Some(name), Some(_)) if !is_bare => {
                out.push_str(&line.replacen(name, &format!("{name}_total"), 1))
            }
            (Some(name), None) if is_bare => out.push_str(&line.replacen(&format!("{name}_total"), name, 1)),
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn as_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_their_names_in_the_older_format() {
        let text = "# HELP a Things.\n# TYPE a counter\na_total 3\n# HELP g Level.\n# TYPE g gauge\ng 1\n\
                    # HELP etcd_server_health_success Ok.\n# TYPE etcd_server_health_success counter\n\
                    etcd_server_health_success_total 2\n# EOF\n";
        let want = "# HELP a_total Things.\n# TYPE a_total counter\na_total 3\n# HELP g Level.\n# TYPE g gauge\ng 1\n\
                    # HELP etcd_server_health_success Ok.\n# TYPE etcd_server_health_success counter\n\
                    etcd_server_health_success 2\n";
        assert_eq!(classic(text), want);
    }
}
