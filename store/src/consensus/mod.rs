//! Agreement between the members: one log, in one order, on a majority of disks.
//!
//! The trait [`Consensus`] is all that the rest of the store sees: commands go in and replies come out, a read barrier,
//! and who leads. Behind it stands openraft ([`raft`]); changing it means changing this folder and nothing else.
//!
//! Contract of [`propose`](trait.Consensus.html#method.propose): a reply means that the command is on a majority of
//! disks and applied here or on the leader; an error of the request itself (`KeyNotFound`, …) means the same, without
//! effect; `Timeout…`, `LeaderChanged` and `Stopped` mean *unknown*: it may still take effect. It is never applied twice.
//! Contract of [`read_barrier`](trait.Consensus.html#method.read_barrier): a read after it sees every write acknowledged
//! before it was called.
//! *Not* promised: an order among commands of concurrent callers.

pub mod apply_thread;
pub mod codec;
pub mod hand_over;
pub mod leadership;
pub mod log_cache;
pub mod log_store;
pub mod log_writer;
pub mod peer_channel;
pub mod peer_service;
pub mod peer_traffic;
pub mod peers;
pub mod proposer;
pub mod raft;
pub mod raft_thread;
pub mod read_index;
pub mod reply_wire;
pub mod retention;
pub mod runtime;
pub mod runtime_watch;
pub mod snapshot;
pub mod snapshot_stream;
pub mod sole_member;
pub mod start;
pub mod state_machine;
pub mod stored;
pub mod transport;
pub mod types;
pub mod wal;
pub mod wire;
pub mod write_clock;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use balsa_proto::store::command::Op;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::peers::{Client, Lane, Peers};
use self::proposer::CommandResult;
use crate::apply::Reply;
use crate::auth::Caller;
use crate::error::Error;
use crate::host::watch;
use crate::limits::SLOW_READ_BARRIER;
use crate::metrics::Metrics;

/// How the rest of the store holds it.
pub type ConsensusHandle = Arc<dyn Consensus>;

/// What comes back for a place in a queue; dropped by the other side when consensus has stopped.
pub type Answer<T> = oneshot::Receiver<T>;

/// What an implementation brings. Callers use what stands on `dyn Consensus` as well, which adds the waiting: a write or
/// a read costs one virtual call that way, and no allocation but its answer's.
pub trait Consensus: Send + Sync + 'static {
    fn member_id(&self) -> u64;

    /// Queues a command on its way into the log, in the name of `caller`. Refused when too many wait.
    fn submit(&self, caller: Caller, op: Op) -> Result<Answer<CommandResult>, Error>;

    /// Queues a reader; the answer is the index to have applied. Refused when too many wait.
    fn submit_read(&self) -> Result<Answer<Result<u64, Error>>, Error>;

    /// Appends only while this member leads in `term`, and never anywhere else: for what a leader decides by itself.
    fn propose_in_term(&self, term: u64, ops: Vec<Op>) -> BoxFuture<'_, Result<Vec<CommandResult>, Error>>;

    fn leadership(&self) -> Leadership;
    fn watch_leadership(&self) -> watch::Receiver<Leadership>;

    /// The index of the last applied entry.
    fn watch_applied(&self) -> watch::Receiver<u64>;

    fn members(&self) -> Members;
    fn watch_members(&self) -> watch::Receiver<Members>;

    /// A change of the membership was begun and is not complete.
    fn is_changing(&self) -> bool;

    /// What this member, while it leads, knows of the others; nothing otherwise.
    fn peers(&self) -> BTreeMap<u64, PeerView>;

    /// Takes one step in the membership, and returns once it is complete. Only while this member leads.
    fn reconfigure(&self, step: Reconfiguration) -> BoxFuture<'_, Result<(), Error>>;

    fn progress(&self) -> Progress;
    fn request_timeout(&self) -> Duration;
    fn metrics(&self) -> &Metrics;

    /// Cancelled when consensus has stopped; without a shutdown that means that it cannot go on.
    fn stopped(&self) -> &CancellationToken;

    /// A client for what only the leader may answer; `None` without a leader.
    fn leader_client(&self) -> Option<Client>;

    /// `None` if it is not a member.
    fn member_client(&self, lane: Lane, id: u64) -> Option<Client>;

    /// Asks `target` to stand for election at once. Its election is not waited for.
    fn trigger_transfer(&self, target: u64) -> BoxFuture<'_, Result<(), Error>>;

    fn shutdown(&self) -> BoxFuture<'_, ()>;
}

impl dyn Consensus {
    /// Through the log in the name of `caller`, and back with the reply. Bounded by the request timeout.
    pub async fn propose(&self, caller: Caller, op: Op) -> Result<Reply, Error> {
        let terms_before = self.leadership();
        let answer = self.submit(caller, op)?;
        let metrics = self.metrics();
        metrics.proposals_pending.inc();
        let outcome = tokio::time::timeout(self.request_timeout(), answer).await;
        metrics.proposals_pending.dec();
        let result = match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(self.timeout_cause(&terms_before)),
        };
        if matches!(result, Err(Error::Timeout | Error::TimeoutDueToLeaderFail | Error::Stopped)) {
            metrics.proposals_failed.inc();
        }
        result
    }

    /// Returns once a local read is linearizable. Bounded by the request timeout.
    pub async fn read_barrier(&self) -> Result<(), Error> {
        let wait = async {
            let index = self.submit_read()?.await.map_err(|_| Error::Stopped)??;
            self.wait_applied(index).await
        };
        let began = Instant::now();
        let result = tokio::time::timeout(self.request_timeout(), wait).await.unwrap_or(Err(Error::Timeout));
        if began.elapsed() > SLOW_READ_BARRIER {
            self.metrics().read_indexes_slow.inc();
        }
        if result.is_err() {
            self.metrics().read_indexes_failed.inc();
        }
        result
    }

    /// Confirms with a majority that this member leads, and waits until it has applied all that it had committed.
    pub async fn confirm_leadership(&self, applied_wait: Duration) -> Result<(), Error> {
        let before = self.leadership();
        if !before.is_leader {
            return Err(Error::NotLeader);
        }
        // Bounded: whoever answers gives up by itself.
        let index = self.submit_read()?.await.map_err(|_| Error::Stopped)??;
        let after = self.leadership();
        // A term has one leader: who leads in it before and after has led in between, and so has asked by itself.
        if !after.is_leader || after.term != before.term {
            return Err(Error::NotLeader);
        }
        if *self.watch_applied().borrow() >= index {
            return Ok(());
        }
        let applied = tokio::time::timeout(applied_wait, self.wait_applied(index)).await;
        applied.unwrap_or(Err(Error::TimeoutWaitAppliedIndex))
    }

    /// Returns once this member has applied the entry `log_index` of the state, which counts from 1.
    pub async fn wait_applied_entry(&self, log_index: u64) -> Result<(), Error> {
        let wait = self.wait_applied(log_index.saturating_sub(1));
        tokio::time::timeout(self.request_timeout(), wait).await.unwrap_or(Err(Error::Timeout))
    }

    async fn wait_applied(&self, index: u64) -> Result<(), Error> {
        let mut applied = self.watch_applied();
        applied.wait_for(|applied| *applied >= index).await.map_err(|_| Error::Stopped)?;
        Ok(())
    }

    /// Hands leadership to `target`, and returns once it leads.
    pub async fn transfer_leader(&self, target: u64) -> Result<(), Error> {
        if !self.leadership().is_leader {
            return Err(Error::NotLeader);
        }
        if !self.members().iter().any(|member| member.id == target && !member.is_learner) {
            return Err(Error::BadLeaderTransferee);
        }
        self.trigger_transfer(target).await?;
        let mut leadership = self.watch_leadership();
        let arrived = leadership.wait_for(|leadership| leadership.leader == Some(target));
        match tokio::time::timeout(self.request_timeout(), arrived).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(Error::Timeout),
        }
    }

    /// Gives leadership away before a stop, so that the cluster need not wait for an election timeout.
    pub async fn step_aside(&self, patience: Duration) {
        let own = self.member_id();
        let members = self.members();
        let Some(heir) = members.iter().find(|member| member.id != own && !member.is_learner) else { return };
        if self.leadership().is_leader {
            // Best effort: without an answer the others elect a leader by themselves.
            drop(tokio::time::timeout(patience, self.transfer_leader(heir.id)).await);
        }
    }

    fn timeout_cause(&self, before: &Leadership) -> Error {
        let now = self.leadership();
        let leader_failed = now.leader.is_some() && before.term != now.term;
        if leader_failed { Error::TimeoutDueToLeaderFail } else { Error::Timeout }
    }
}

/// Where the log stands on this member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub last_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
}

/// What this member knows of the cluster's leadership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leadership {
    pub term: u64,
    pub leader: Option<u64>,
    pub is_leader: bool,
}

/// Returns once another member than `leader` leads: whoever asked `leader` need not wait for its answer any more, which may
/// never come from one who lives and says nothing, as when its disk hangs.
async fn until_another_leads(leadership: &watch::Receiver<Leadership>, leader: u64) {
    let is_over = |now: &Leadership| now.leader.is_some_and(|other| other != leader);
    // Where nobody tells any more the member stops.
    let _ = leadership.clone().wait_for(is_over).await;
}

/// What the membership says of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberNode {
    pub name: String,
    pub peer_urls: Vec<String>,
}

/// The members of a new cluster.
pub type InitialMembers = BTreeMap<u64, MemberNode>;

/// A member as the membership knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    pub id: u64,
    pub node: Arc<MemberNode>,
    pub is_learner: bool,
}

pub type Members = Arc<Vec<MemberView>>;

/// How a leader sees another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerView {
    /// Up to here it has the leader's log.
    pub matched_index: u64,
    /// It answered within the last election timeout.
    pub is_heard: bool,
}

/// One step in the membership. Any of them may be taken from any membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reconfiguration {
    AddLearner {
        id: u64,
        node: MemberNode,
    },
    SetNode {
        id: u64,
        node: MemberNode,
    },
    /// All voters; each is a member already. A voter that is not among them leaves the cluster.
    SetVoters(BTreeSet<u64>),
    RemoveLearner(u64),
}

/// The way to a member by its id.
#[derive(Clone)]
pub struct Routes {
    peers: Peers,
    members: watch::Receiver<Members>,
}

impl Routes {
    /// `None` when the member is not known, or its URL is unusable.
    pub fn client(&self, lane: Lane, id: u64) -> Option<Client> {
        let members = self.members.borrow().clone();
        let member = members.iter().find(|member| member.id == id)?;
        self.peers
            .client(lane, id, &member.node)
            .inspect_err(|error| tracing::warn!(%error, "a member cannot be reached"))
            .ok()
    }
}
