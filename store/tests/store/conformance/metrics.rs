//! `/metrics` of both servers: every name that a stock member has with one of ours behind it, of the same type, with the
//! same labels and the same buckets; and what it counts after the same requests.
//!
//! What we do not offer is in [`LEFT_OUT`], and `docs/divergence.md` says why.

use std::collections::{BTreeMap, BTreeSet};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Beginnings of names that a stock member has and ours does not.
const LEFT_OUT: &[&str] = &[
    "go_",
    "promhttp_",
    "etcd_grpc_proxy_",
    "etcd_server_go_version",
    "etcd_server_heartbeat_send_failures_total",
    "etcd_debugging_store_",
    "etcd_debugging_snap_",
    "etcd_snap_fsync_",
    "etcd_debugging_disk_backend_commit_",
    "etcd_debugging_mvcc_index_compaction_pause_",
    "etcd_mvcc_db_open_read_transactions",
    // Gone from 3.6.
    "etcd_debugging_mvcc_db_total_size_in_bytes",
    "etcd_debugging_mvcc_delete_total",
    "etcd_debugging_mvcc_put_total",
    "etcd_debugging_mvcc_range_total",
    "etcd_debugging_mvcc_txn_total",
];

/// What both say of a key space in which the same was done, and of a member that has just started.
const SAME_VALUES: &[&str] = &[
    "etcd_debugging_auth_revision",
    "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_renewed_total",
    "etcd_debugging_lease_revoked_total",
    "etcd_debugging_lease_ttl_total_count",
    "etcd_debugging_lease_ttl_total_sum",
    "etcd_debugging_mvcc_compact_revision",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "etcd_debugging_mvcc_events_total",
    "etcd_debugging_mvcc_keys_total",
    "etcd_debugging_mvcc_pending_events_total",
    "etcd_debugging_mvcc_slow_watcher_total",
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_debugging_mvcc_watch_stream_total",
    "etcd_debugging_mvcc_watcher_total",
    "etcd_disk_backend_defrag_duration_seconds_count",
    "etcd_disk_backend_snapshot_duration_seconds_count",
    "etcd_disk_defrag_inflight",
    "etcd_mvcc_hash_duration_seconds_count",
    "etcd_mvcc_hash_rev_duration_seconds_count",
    "etcd_mvcc_put_total",
    "etcd_server_has_leader",
    "etcd_server_is_leader",
    "etcd_server_is_learner",
    "etcd_server_proposals_pending",
    "etcd_server_quota_backend_bytes",
    "etcd_server_snapshot_apply_in_progress_total",
];

/// A page, taken apart.
#[derive(Debug, Default)]
pub struct Metrics {
    kinds: BTreeMap<String, String>,
    /// Names of the labels of each sample, and the values of `le`.
    labels: BTreeMap<String, BTreeSet<String>>,
    bounds: BTreeMap<String, BTreeSet<String>>,
    values: BTreeMap<String, f64>,
}

/// Each request once, so that there is something to count.
pub const SCRIPT: &str = "\
> put a 1
> put b 22
> put c/d 333
> del c/d
> get a
> txn then put a 4 ; then put b 5
> grant 7 100
> grant 8 200
> keepalive 7
> revoke 8
> watch s a b rev=2
> next s
> next s
> hash
> hashkv
> defragment
> snapshot
> compact 4 physical
";

pub async fn of(endpoint: &str) -> Metrics {
    let address = endpoint.strip_prefix("http://").expect("plain HTTP");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    let request = "GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    Metrics::parse(answer.split_once("\r\n\r\n").expect("a head and a body").1)
}

impl Metrics {
    fn parse(page: &str) -> Metrics {
        let mut metrics = Metrics::default();
        for line in page.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
                metrics.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                metrics.sample(line);
            }
        }
        metrics
    }

    fn sample(&mut self, line: &str) {
        let (sample, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        self.values.insert(sample.to_owned(), value.parse().expect("a number"));
        let labels = labels.trim_end_matches('}').split_terminator("\",");
        for (label, value) in labels.filter_map(|label| label.split_once("=\"")) {
            self.labels.entry(name.to_owned()).or_default().insert(label.to_owned());
            if label == "le" {
                self.bounds
                    .entry(name.to_owned())
                    .or_default()
                    .insert(value.trim_end_matches('"').to_owned());
            }
        }
    }

    /// What a stock member has and this one lacks or has otherwise.
    pub fn differences(&self, stock: &Metrics) -> Vec<String> {
        let is_left_out = |name: &str| LEFT_OUT.iter().any(|start| name.starts_with(start));
        let mut differences = Vec::new();
        for (name, kind) in stock.kinds.iter().filter(|(name, _)| !is_left_out(name)) {
            match self.kinds.get(name) {
                Some(have) if have == kind => {}
                have => differences.push(format!("{name} is a {kind}, and here {have:?}")),
            }
        }
        for (name, labels) in stock.labels.iter().filter(|(name, _)| !is_left_out(name)) {
            if self.labels.get(name) != Some(labels) {
                differences.push(format!("{name} has {labels:?}, and here {:?}", self.labels.get(name)));
            }
        }
        for (name, bounds) in stock.bounds.iter().filter(|(name, _)| !is_left_out(name)) {
            if self.bounds.get(name) != Some(bounds) {
                differences.push(format!("{name} has {bounds:?}, and here {:?}", self.bounds.get(name)));
            }
        }
        for name in SAME_VALUES {
            let (have, want) = (self.values.get(*name), stock.values.get(*name));
            if have != want || want.is_none() {
                differences.push(format!("{name} is {want:?}, and here {have:?}"));
            }
        }
        differences
    }

    /// What stands in [`LEFT_OUT`] and is offered all the same, or that nobody has any more.
    pub fn needlessly_left_out(&self, stock: &Metrics) -> Vec<&'static str> {
        let any = |metrics: &Metrics, start: &str| metrics.kinds.keys().any(|name| name.starts_with(start));
        let needless = |start: &&&str| any(self, start) || !any(stock, start);
        LEFT_OUT.iter().filter(needless).copied().collect()
    }
}

/// The reasons are written down.
pub fn unexplained() -> Vec<&'static str> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/divergence.md");
    let text = std::fs::read_to_string(path).expect("readable");
    LEFT_OUT.iter().filter(|name| !text.contains(**name)).copied().collect()
}
