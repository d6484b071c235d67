//! Asks each of the other members every few seconds whether it is there, for the metrics: how long that took, and whether
//! it answers at all. Nothing is decided by it.

use std::sync::Arc;

use balsa_proto::store::MemberRecord;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::peer_page;
use super::table::MemberTable;
use crate::config::parse_urls;
use crate::host::watch;
use crate::limits::PEER_PROBE_INTERVAL;
use crate::metrics::PeerMetrics;
use crate::server::connect::Connector;

pub struct Probe {
    pub own_id: u64,
    pub table: watch::Receiver<Arc<MemberTable>>,
    pub connector: Connector,
    pub metrics: PeerMetrics,
}

impl Probe {
    pub async fn run(self, shutdown: CancellationToken) {
        let mut looks = tokio::time::interval(PEER_PROBE_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
            let table = self.table.borrow().clone();
            let others = table.iter().filter(|member| member.member_id != self.own_id);
            let asked = futures::future::join_all(others.map(|member| self.ask(member)));
            shutdown.run_until_cancelled(asked).await;
        }
    }

    async fn ask(&self, member: &MemberRecord) {
        let counts = self.metrics.of(member.member_id);
        // The URLs of a member were checked when it was added.
        let urls = parse_urls("peer-urls", &member.peer_urls.join(",")).unwrap_or_default();
        let Some(url) = urls.first() else { return };
        match peer_page::get(url, &self.connector, "/version").await {
            Ok(page) => {
                counts.round_trip_seconds.observe(page.took.as_secs_f64());
                counts.heard();
            }
            Err(_) => counts.lost(),
        }
    }
}
