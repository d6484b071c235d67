//! What this member has to do with each of the others: `etcd_network_*`, by the other's id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use super::instrument::{Counter, Gauge, Histogram};
use super::page::Page;

/// Of all members that this one has ever had to do with. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PeerMetrics {
    by_id: Arc<RwLock<BTreeMap<u64, Arc<PeerCounts>>>>,
}

#[derive(Debug)]
pub struct PeerCounts {
    pub sent_bytes: Counter,
    pub received_bytes: Counter,
    pub send_failures: Counter,
    pub receive_failures: Counter,
    /// From a question to its answer.
    pub round_trip_seconds: Histogram,
    pub snapshots_out: Snapshots,
    pub snapshots_in: Snapshots,
    is_active: AtomicBool,
    disconnects: Counter,
}

/// Whole states on their way.
#[derive(Debug)]
pub struct Snapshots {
    pub inflight: Gauge,
    pub successes: Counter,
    pub failures: Counter,
    pub seconds: Histogram,
}

impl Snapshots {
    fn new() -> Snapshots {
        Snapshots {
            inflight: Gauge::default(),
            successes: Counter::default(),
            failures: Counter::default(),
            seconds: Histogram::exponential(0.1, 2.0, 10),
        }
    }

    /// Only what arrived whole has a duration.
    pub fn ended(&self, well: bool, took: Duration) {
        if well {
            self.successes.inc();
            self.seconds.observe(took.as_secs_f64());
        } else {
            self.failures.inc();
        }
    }
}

impl PeerCounts {
    fn new() -> PeerCounts {
        PeerCounts {
            sent_bytes: Counter::default(),
            received_bytes: Counter::default(),
            send_failures: Counter::default(),
            receive_failures: Counter::default(),
            round_trip_seconds: Histogram::exponential(0.0001, 2.0, 16),
            snapshots_out: Snapshots::new(),
            snapshots_in: Snapshots::new(),
            is_active: AtomicBool::new(false),
            disconnects: Counter::default(),
        }
    }

    /// It answered.
    pub fn heard(&self) {
        // Read first: what is written all the time is dear to those who share it.
        if !self.is_active.load(Ordering::Relaxed) {
            self.is_active.store(true, Ordering::Relaxed);
        }
    }

    /// It could not be reached.
    pub fn lost(&self) {
        if self.is_active.swap(false, Ordering::Relaxed) {
            self.disconnects.inc();
        }
    }
}

type Count = fn(&PeerCounts) -> &Counter;
type Outcome = fn(&Snapshots) -> &Counter;
type Way = fn(&PeerCounts) -> &Snapshots;

impl PeerMetrics {
    pub fn of(&self, id: u64) -> Arc<PeerCounts> {
        if let Some(counts) = self.known(id) {
            return counts;
        }
        self.by_id.write().entry(id).or_insert_with(|| Arc::new(PeerCounts::new())).clone()
    }

    /// `None` for whom nobody has asked about yet: who calls cannot make this grow.
    pub fn known(&self, id: u64) -> Option<Arc<PeerCounts>> {
        self.by_id.read().get(&id).cloned()
    }

    /// `members`: all that the cluster has now; the others are left out.
    pub fn render(&self, page: &mut Page, own_id: u64, members: &[u64]) {
        let peers: Vec<(String, Arc<PeerCounts>)> =
            members.iter().filter(|id| **id != own_id).map(|id| (format!("{id:x}"), self.of(*id))).collect();
        let own = format!("{own_id:x}");
        known(page, &own, members);
        let active = |peer: &PeerCounts| f64::from(u8::from(peer.is_active.load(Ordering::Relaxed)));
        let lost = |peer: &PeerCounts| peer.disconnects.get() as f64;
        of_pair(
            page,
            ("etcd_network_active_peers", "gauge", "1 if the member answers"),
            &own,
            &peers,
            active,
        );
        let disconnected =
            ("etcd_network_disconnected_peers_total", "counter", "How often the member ceased to answer");
        of_pair(page, disconnected, &own, &peers, lost);
        let counts: [(&str, &str, &str, Count); 4] = [
            ("etcd_network_peer_sent_bytes_total", "To", "Bytes sent to the member", |p| &p.sent_bytes),
            ("etcd_network_peer_received_bytes_total", "From", "Bytes that came from the member", |p| {
                &p.received_bytes
            }),
            ("etcd_network_peer_sent_failures_total", "To", "Messages that did not reach the member", |p| {
                &p.send_failures
            }),
            ("etcd_network_peer_received_failures_total", "From", "Messages that broke off", |p| {
                &p.receive_failures
            }),
        ];
        for (name, label, help, count) in counts {
            page.family(name, "counter", help);
            for (id, peer) in &peers {
                page.sample(name, &[(label, id.as_str())], count(peer).get() as f64);
            }
        }
        let name = "etcd_network_peer_round_trip_time_seconds";
        page.family(name, "histogram", "From a question to the member to its answer");
        for (id, peer) in &peers {
            page.buckets(name, &[("To", id.as_str())], &peer.round_trip_seconds);
        }
        let ways: [(&str, &str, Way); 2] =
            [("send", "To", |p| &p.snapshots_out), ("receive", "From", |p| &p.snapshots_in)];
        for (way, label, snapshots) in ways {
            let peers: Vec<(&str, &Snapshots)> =
                peers.iter().map(|(id, peer)| (id.as_str(), snapshots(peer))).collect();
            of_snapshots(page, way, label, &peers);
        }
    }
}

fn known(page: &mut Page, own: &str, members: &[u64]) {
    let name = "etcd_network_known_peers";
    page.family(name, "gauge", "1 for each member of the cluster");
    for id in members {
        page.sample(name, &[("Local", own), ("Remote", &format!("{id:x}"))], 1.0);
    }
}

fn of_pair(
    page: &mut Page,
    (name, kind, help): (&str, &str, &str),
    own: &str,
    peers: &[(String, Arc<PeerCounts>)],
    value: impl Fn(&PeerCounts) -> f64,
) {
    page.family(name, kind, help);
    for (id, peer) in peers {
        page.sample(name, &[("Local", own), ("Remote", id)], value(peer));
    }
}

fn of_snapshots(page: &mut Page, way: &str, label: &str, peers: &[(&str, &Snapshots)]) {
    let name = format!("etcd_network_snapshot_{way}_inflights_total");
    page.family(&name, "gauge", "Snapshots under way");
    for (id, snapshots) in peers {
        page.sample(&name, &[(label, id)], snapshots.inflight.get() as f64);
    }
    let counts: [(&str, Outcome); 2] = [("success", |s| &s.successes), ("failures", |s| &s.failures)];
    for (outcome, count) in counts {
        let name = format!("etcd_network_snapshot_{way}_{outcome}");
        page.family(&name, "counter", "Snapshots that ended so");
        for (id, snapshots) in peers {
            page.sample(&name, &[(label, id)], count(snapshots).get() as f64);
        }
    }
    let name = format!("etcd_network_snapshot_{way}_total_duration_seconds");
    page.family(&name, "histogram", "How long a snapshot was under way");
    for (id, snapshots) in peers {
        page.buckets(&name, &[(label, id)], &snapshots.seconds);
    }
}
