//! Makes raft's membership follow the table, while this member leads. Notices when this member has no place any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::plan::{self, Action, Situation};
use super::table::MemberTable;
use crate::consensus::ConsensusHandle;
use crate::host::watch;
use crate::limits::MAX_VOTER_LAG_ENTRIES;

/// Owns the steps of raft's membership.
pub struct Steward {
    pub consensus: ConsensusHandle,
    pub table: watch::Receiver<Arc<MemberTable>>,
    pub election_timeout: Duration,
    /// Cancelled once this member was removed, from the table and from raft.
    pub removed: CancellationToken,
}

impl Steward {
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut leadership = self.consensus.watch_leadership();
        let mut members = self.consensus.watch_members();
        // Nothing tells when a new member has caught up, or when a step that failed may succeed.
        let mut looks = tokio::time::interval(self.election_timeout / 4);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.is_out() {
                return self.removed.cancel();
            }
            while self.consensus.leadership().is_leader && self.step().await {
                // The news of a step comes a moment after it; without it the same step would be taken again.
                if members.changed_within(self.election_timeout / 4).await.is_err() {
                    return;
                }
            }
            let gone = tokio::select! {
                biased;
                () = shutdown.cancelled() => true,
                changed = self.table.changed() => changed.is_err(),
                changed = leadership.changed() => changed.is_err(),
                changed = members.changed() => changed.is_err(),
                _ = looks.tick() => false,
            };
            if gone {
                return;
            }
        }
    }

    /// Raft still counts a member for some moments after its removal; until then it must go on.
    fn is_out(&self) -> bool {
        let own = self.consensus.member_id();
        let in_raft = self.consensus.members().iter().any(|member| member.id == own);
        !in_raft && self.table.borrow().is_removed(own)
    }

    /// True if it may be worth looking for the next one at once.
    async fn step(&self) -> bool {
        let table = self.table.borrow().clone();
        let members = self.consensus.members();
        let peers = self.consensus.peers();
        let action = plan::next(&Situation {
            own_id: self.consensus.member_id(),
            table: &table,
            members: &members,
            changing: self.consensus.is_changing(),
            peer: &|id| peers.get(&id).copied(),
            last_index: self.consensus.progress().last_index,
            max_voter_lag_entries: MAX_VOTER_LAG_ENTRIES,
        });
        let Some(action) = action else { return false };
        tracing::info!(?action, "the membership changes");
        let patience = self.consensus.request_timeout();
        let done = match action {
            Action::Reconfigure(step) => {
                tokio::time::timeout(patience, self.consensus.reconfigure(step)).await.ok()
            }
            Action::HandOver(heir) => Some(self.consensus.transfer_leader(heir).await),
        };
        match done {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                tracing::info!(%error, "the membership could not change yet");
                false
            }
            None => false,
        }
    }
}
