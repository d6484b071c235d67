//! Tells the rest of the member who leads and who belongs to the cluster, as raft learns it.
//!
//! A leader that has not heard from a majority for an election timeout is told to lead no longer (check-quorum), and a
//! follower that has not heard from its leader, that there is none: raft itself lets them wait for the others to come
//! back, but their clients must not be kept waiting. Nor is there a leader while one whose disk hangs gives leadership
//! away ([`super::hand_over`]).

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::{Instant as _, ServerState};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::hand_over::HandOver;
use super::raft::Raft;
use super::types::TypeConfig;
use super::{Leadership, MemberView, Members};
use crate::host::watch;
use crate::metrics::Metrics;

/// A silence, or a disk that hangs, is noticed so much later at most: a tenth of an election timeout.
const LOOKS_PER_ELECTION_TIMEOUT: u32 = 10;

/// Owns what is told.
pub struct Herald {
    pub raft: Raft,
    pub leadership: watch::Sender<Leadership>,
    pub members: watch::Sender<Members>,
    pub metrics: Arc<Metrics>,
    pub hand_over: HandOver,
    pub election_timeout: Duration,
    pub silence: Silence,
    /// Cancelled when raft tells nothing any more: it was stopped, or it cannot go on.
    pub stopped: CancellationToken,
}

/// A follower that has heard from its leader need not ask raft again before that can have been too long ago: what it hears
/// later is younger still.
#[derive(Debug, Default)]
pub struct Silence {
    not_before: Option<Instant>,
}

impl Herald {
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut server = self.raft.server_metrics();
        let mut looks = tokio::time::interval(self.election_timeout / LOOKS_PER_ELECTION_TIMEOUT);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = read(&server.borrow_watched());
        loop {
            let (mut leadership, members) = seen.clone();
            if leadership.leader.is_some() && self.is_over(&leadership, &members).await {
                leadership = Leadership { leader: None, is_leader: false, ..leadership };
            }
            self.tell(leadership, members);
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                changed = server.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    seen = read(&server.borrow_watched());
                }
                _ = looks.tick() => {}
            }
        }
        // Whoever asks a stopped member must not believe that it leads.
        self.leadership.send_modify(|leadership| {
            leadership.leader = None;
            leadership.is_leader = false;
        });
        self.stopped.cancel();
    }

    async fn is_over(&mut self, leadership: &Leadership, members: &[MemberView]) -> bool {
        let is_leader = leadership.is_leader;
        (is_leader && self.hand_over.look(leadership.term).await)
            || (needs_others(is_leader, members) && self.is_cut_off(is_leader).await)
    }

    /// A quarter more than an election timeout, since a heartbeat may just be under way.
    async fn is_cut_off(&mut self, is_leader: bool) -> bool {
        let longest = self.election_timeout * 5 / 4;
        let silence = if is_leader {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.last_quorum_acked.as_ref().map(|acked| acked.elapsed())
        } else if self.silence.not_before.is_some_and(|moment| Instant::now() < moment) {
            None
        } else {
            // Every message of a leader renews the vote for it.
            let renewed = self.raft.with_raft_state(|state| state.vote_last_modified()).await.ok().flatten();
            let silence = renewed.map(|renewed| renewed.elapsed());
            self.silence.not_before = silence.map(|silence| Instant::now() + longest.saturating_sub(silence));
            silence
        };
        silence.is_some_and(|silence| silence > longest)
    }

    fn tell(&self, leadership: Leadership, members: Members) {
        let changed = self.leadership.send_if_modified(|current| {
            let changed = *current != leadership;
            if changed && leadership.leader.is_some() && current.leader != leadership.leader {
                self.metrics.leader_changes_seen.inc();
                let Leadership { term, leader, is_leader } = &leadership;
                tracing::info!(
                    term,
                    leader = leader.map(|id| format!("{id:x}")),
                    is_leader,
                    "leader elected"
                );
            }
            if changed && leadership.leader.is_none() && current.leader.is_some() {
                tracing::info!(term = leadership.term, "leader lost");
            }
            *current = leadership;
            changed
        });
        tracing::trace!(changed, "leadership told");
        self.members.send_if_modified(|current| {
            let changed = *current != members;
            *current = members;
            changed
        });
    }
}

/// A leader that votes alone is a majority, whatever became of its learners: nothing is heard of them for certain.
fn needs_others(is_leader: bool, members: &[MemberView]) -> bool {
    let voters = members.iter().filter(|member| !member.is_learner).count();
    if is_leader { voters > 1 } else { members.len() > 1 }
}

fn read(metrics: &RaftServerMetrics<TypeConfig>) -> (Leadership, Members) {
    let leadership = Leadership {
        term: metrics.vote.leader_id.term,
        leader: metrics.current_leader,
        is_leader: metrics.state == ServerState::Leader,
    };
    let membership = metrics.membership_config.membership();
    let voters: std::collections::BTreeSet<u64> = membership.voter_ids().collect();
    let members = membership
        .nodes()
        .map(|(id, node)| MemberView {
            id: *id,
            node: Arc::new(node.clone()),
            is_learner: !voters.contains(id),
        })
        .collect();
    (leadership, Arc::new(members))
}
