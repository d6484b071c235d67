//! Ends leases: the leader looks for those whose time is over and proposes their revokes.
//!
//! Invariant: revokes are appended only in the term in which this member found them expired. A leader that was deposed
//! in between must not end what its successor may have renewed.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::LeaseRevokeRequest;
use balsa_proto::store::command::Op;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::consensus::{ConsensusHandle, Leadership};
use crate::lease::Lessor;
use crate::limits::{LEASE_EXPIRY_INTERVAL, MAX_LEASE_REVOKES_PER_LOOK};

/// Owns the lessor's role: primary on the leader, silent elsewhere.
pub struct LeaseExpiry {
    pub consensus: ConsensusHandle,
    pub lessor: Lessor,
    pub election_timeout: Duration,
}

impl LeaseExpiry {
    pub async fn run(self, shutdown: CancellationToken) {
        let mut leadership = self.consensus.watch_leadership();
        let mut looks = tokio::time::interval(LEASE_EXPIRY_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leading_in = self.follow(None, &leadership.borrow_and_update().clone());
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                changed = leadership.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let now = leadership.borrow_and_update().clone();
                    leading_in = self.follow(leading_in, &now);
                }
                _ = looks.tick() => {
                    if let Some(term) = leading_in {
                        self.revoke_expired(term).await;
                    }
                }
            }
        }
        self.lessor.demote();
    }

    /// The term in which this member leads, if it does.
    fn follow(&self, leading_in: Option<u64>, now: &Leadership) -> Option<u64> {
        let leads_in = now.is_leader.then_some(now.term);
        if leads_in != leading_in {
            match leads_in {
                Some(_) => self.lessor.promote(self.election_timeout),
                None => self.lessor.demote(),
            }
        }
        leads_in
    }

    async fn revoke_expired(&self, term: u64) {
        let expired = self.lessor.expired(Instant::now(), MAX_LEASE_REVOKES_PER_LOOK);
        if expired.is_empty() {
            return;
        }
        let revokes = expired.iter().map(|id| Op::LeaseRevoke(LeaseRevokeRequest { id: *id })).collect();
        match self.consensus.propose_in_term(term, revokes).await {
            Ok(_) => self.consensus.metrics().leases_expired.add(expired.len() as u64),
            // What is not revoked now is handed out again later.
            Err(error) => {
                tracing::debug!(%error, count = expired.len(), "expired leases are not revoked yet")
            }
        }
    }
}
