//! Agreement between the members: one log, in one order, on a majority of disks.
//!
//! [`Consensus`] is all that the rest of the store sees: commands go in and replies come out, a read barrier, and who
//! leads. Behind it stands openraft; changing it means changing this folder and nothing else.
//!
//! Contract of [`Consensus::propose`]: a reply means that the command is on a majority of disks and applied here or on
//! the leader; an error of the request itself (`KeyNotFound`, …) means the same, without effect; `Timeout…`,
//! `LeaderChanged` and `Stopped` mean *unknown*: it may still take effect. It is never applied twice.
//! Contract of [`Consensus::read_barrier`]: a read after it sees every write acknowledged before it was called.
//! *Not* promised: an order among commands of concurrent callers.

pub mod apply_thread;
pub mod codec;
pub mod leadership;
pub mod log_cache;
pub mod log_store;
pub mod log_writer;
pub mod peer_service;
pub mod peers;
pub mod proposer;
pub mod read_index;
pub mod reply_wire;
pub mod snapshot;
pub mod snapshot_stream;
pub mod start;
pub mod state_machine;
pub mod transport;
pub mod types;
pub mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balsa_proto::store::command::Op;
use balsa_proto::store::{Command, CommandBatch};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::impls::ProgressResponder;
use prost::Message;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use self::leadership::Members;
use self::peers::{Client, Lane, Peers};
use self::proposer::{CommandResult, Proposal};
use self::read_index::Reader;
use self::state_machine::StateMachine;
use self::types::{EncodedBatch, LeaderId, TypeConfig};
pub use self::types::{Leadership, MemberView};
use crate::apply::Reply;
use crate::error::Error;
use crate::metrics::Metrics;

pub type Raft = openraft::Raft<TypeConfig, StateMachine>;

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

/// Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    inner: Arc<Inner>,
}

struct Inner {
    raft: Raft,
    routes: Routes,
    proposals: mpsc::Sender<Proposal>,
    readers: mpsc::Sender<Reader>,
    leadership: watch::Receiver<Leadership>,
    applied: watch::Receiver<u64>,
    request_timeout: Duration,
    next_request_id: AtomicU64,
    metrics: Arc<Metrics>,
    stopped: CancellationToken,
}

/// Where the log stands on this member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub last_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
}

impl Consensus {
    /// Through the log, and back with the reply. Bounded by the request timeout.
    pub async fn propose(&self, op: Op) -> Result<Reply, Error> {
        let terms_before = self.leadership();
        let (reply, result) = oneshot::channel();
        let command = Command { request_id: self.next_request_id(), unix_ms: 0, op: Some(op) };
        self.enqueue(Proposal { command, reply }).await?;
        let metrics = &self.inner.metrics;
        metrics.proposals_pending.inc();
        let outcome = tokio::time::timeout(self.inner.request_timeout, result).await;
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

    /// Appends only while this member leads in `term`, and never anywhere else: for what a leader decides by itself.
    pub async fn propose_in_term(&self, term: u64, ops: Vec<Op>) -> Result<Vec<CommandResult>, Error> {
        let unix_ms = proposer::unix_ms_now();
        let commands =
            ops.into_iter().map(|op| Command { request_id: self.next_request_id(), unix_ms, op: Some(op) });
        let batch = CommandBatch { commands: commands.collect() };
        let leader = LeaderId { term, node_id: *self.inner.raft.node_id() };
        let (responder, reply) = ProgressResponder::complete_only();
        let write = self.inner.raft.write(EncodedBatch { bytes: batch.encode_to_vec().into() });
        write.with_leader(leader).responder(responder).await.map_err(|_| Error::Stopped)?;
        match tokio::time::timeout(self.inner.request_timeout, reply).await {
            Ok(Ok(Ok(response))) => Ok(response.data.replies),
            Ok(Ok(Err(_))) => Err(Error::NotLeader),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(Error::Timeout),
        }
    }

    /// Puts a command in the queue of the proposer. Refused when the queue is full.
    pub(crate) async fn enqueue(&self, proposal: Proposal) -> Result<(), Error> {
        self.inner.proposals.try_send(proposal).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::TooManyRequests,
            mpsc::error::TrySendError::Closed(_) => Error::Stopped,
        })
    }

    /// Returns once a local read is linearizable. Bounded by the request timeout.
    pub async fn read_barrier(&self) -> Result<(), Error> {
        let (reader, answer) = oneshot::channel();
        let wait = async {
            self.inner.readers.send(reader).await.map_err(|_| Error::Stopped)?;
            let index = answer.await.map_err(|_| Error::Stopped)??;
            self.wait_applied(index).await
        };
        let result =
            tokio::time::timeout(self.inner.request_timeout, wait).await.unwrap_or(Err(Error::Timeout));
        if result.is_err() {
            self.inner.metrics.read_indexes_failed.inc();
        }
        result
    }

    /// Confirms with a majority that this member leads, and waits until it has applied all that it had committed.
    pub async fn confirm_leadership(&self, applied_wait: Duration) -> Result<(), Error> {
        let confirmed =
            tokio::time::timeout(self.inner.request_timeout, read_index::confirm(&self.inner.raft));
        let index = confirmed.await.unwrap_or(Err(Error::Timeout))?;
        let applied = tokio::time::timeout(applied_wait, self.wait_applied(index)).await;
        applied.unwrap_or(Err(Error::TimeoutWaitAppliedIndex))
    }

    async fn wait_applied(&self, index: u64) -> Result<(), Error> {
        let mut applied = self.inner.applied.clone();
        applied.wait_for(|applied| *applied >= index).await.map_err(|_| Error::Stopped)?;
        Ok(())
    }

    pub fn leadership(&self) -> Leadership {
        self.inner.leadership.borrow().clone()
    }

    pub fn watch_leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    pub fn members(&self) -> Members {
        self.inner.routes.members.borrow().clone()
    }

    pub fn progress(&self) -> Progress {
        let data = self.inner.raft.data_metrics();
        let data = data.borrow_watched();
        let index = |log_id: &Option<types::LogId>| log_id.map_or(0, |log_id| log_id.index);
        Progress {
            last_index: index(&data.last_log),
            committed_index: index(&data.local_committed),
            applied_index: *self.inner.applied.borrow(),
        }
    }

    pub fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    /// Resolves when raft has stopped; without a shutdown that means that it cannot go on.
    pub async fn stopped(&self) {
        self.inner.stopped.cancelled().await;
    }

    /// A client for what only the leader may answer; `None` without a leader.
    pub(crate) fn leader_client(&self) -> Option<Client> {
        let leader = self.leadership().leader?;
        self.inner.routes.client(Lane::Forward, leader)
    }

    /// Hands leadership to `target`, and returns once it leads.
    pub async fn transfer_leader(&self, target: u64) -> Result<(), Error> {
        if !self.leadership().is_leader {
            return Err(Error::NotLeader);
        }
        if !self.members().iter().any(|member| member.id == target && !member.is_learner) {
            return Err(Error::BadLeaderTransferee);
        }
        self.inner.raft.trigger().transfer_leader(target).await.map_err(|_| Error::Stopped)?;
        let mut leadership = self.watch_leadership();
        let arrived = leadership.wait_for(|leadership| leadership.leader == Some(target));
        match tokio::time::timeout(self.inner.request_timeout, arrived).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(Error::Timeout),
        }
    }

    /// Gives leadership away before a stop, so that the cluster need not wait for an election timeout.
    pub(crate) async fn step_aside(&self, patience: Duration) {
        let own = *self.inner.raft.node_id();
        let members = self.members();
        let Some(heir) = members.iter().find(|member| member.id != own && !member.is_learner) else { return };
        if self.leadership().is_leader {
            // Best effort: without an answer the others elect a leader by themselves.
            drop(tokio::time::timeout(patience, self.transfer_leader(heir.id)).await);
        }
    }

    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "raft did not stop cleanly");
        }
    }

    fn next_request_id(&self) -> u64 {
        self.inner.next_request_id.fetch_add(1, Ordering::Relaxed)
    }

    fn timeout_cause(&self, before: &Leadership) -> Error {
        let now = self.leadership();
        let leader_failed = now.leader.is_some() && before.term != now.term;
        if leader_failed { Error::TimeoutDueToLeaderFail } else { Error::Timeout }
    }
}
