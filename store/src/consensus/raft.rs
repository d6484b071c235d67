//! [`Consensus`] by openraft: the queues in front of it, and what it says of itself.
//!
//! Cheap to clone. The tasks behind the queues are [`super::proposer`], [`super::read_index`] and [`super::leadership`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balsa_proto::store::command::Op;
use balsa_proto::store::{Command, CommandBatch};
use futures::FutureExt;
use futures::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::{ChangeMembers, Instant};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::peers::{Client, Lane};
use super::proposer::{self, CommandResult, Proposal};
use super::read_index::Reader;
use super::state_machine::StateMachine;
use super::types::{EncodedBatch, LeaderId, LogId, TypeConfig};
use super::{
    Answer, Consensus, Leadership, MemberNode, Members, PeerView, Progress, Reconfiguration, Routes,
};
use crate::auth::Caller;
use crate::error::Error;
use crate::host::watch;
use crate::metrics::Metrics;

pub type Raft = openraft::Raft<TypeConfig, StateMachine>;

#[derive(Clone)]
pub struct RaftConsensus {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub raft: Raft,
    pub routes: Routes,
    pub proposals: mpsc::Sender<Proposal>,
    pub readers: mpsc::Sender<Reader>,
    pub leadership: watch::Receiver<Leadership>,
    pub applied: watch::Receiver<u64>,
    pub request_timeout: Duration,
    pub election_timeout: Duration,
    pub next_request_id: AtomicU64,
    pub metrics: Arc<Metrics>,
    pub stopped: CancellationToken,
}

impl RaftConsensus {
    /// Puts a command in the queue of the proposer. Refused when the queue is full.
    pub(super) fn enqueue(&self, command: Command) -> Result<Answer<CommandResult>, Error> {
        let (reply, answer) = oneshot::channel();
        self.inner.proposals.try_send(Proposal { command, reply }).map_err(refused)?;
        Ok(answer)
    }

    async fn append_in_term(&self, term: u64, ops: Vec<Op>) -> Result<Vec<CommandResult>, Error> {
        let unix_ms = proposer::unix_ms_now();
        let command = |op| Command { unix_ms, ..Caller::Server.command(self.next_request_id(), op) };
        let batch = CommandBatch { commands: ops.into_iter().map(command).collect() };
        let leader = LeaderId { term, node_id: self.member_id() };
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

    fn next_request_id(&self) -> u64 {
        self.inner.next_request_id.fetch_add(1, Ordering::Relaxed)
    }
}

fn refused<T>(error: mpsc::error::TrySendError<T>) -> Error {
    match error {
        mpsc::error::TrySendError::Full(_) => Error::TooManyRequests,
        mpsc::error::TrySendError::Closed(_) => Error::Stopped,
    }
}

/// What a leader knows of all members, itself among them.
pub(super) fn peer_views(raft: &Raft, election_timeout: Duration) -> BTreeMap<u64, PeerView> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let is_heard = |id: &u64| {
        let acked = metrics.heartbeat.as_ref().and_then(|acked| acked.get(id)?.as_ref());
        acked.is_some_and(|acked| acked.elapsed() <= election_timeout)
    };
    let view = |(id, matched): (&u64, &Option<LogId>)| {
        let matched_index = matched.map_or(0, |log_id| log_id.index);
        (*id, PeerView { matched_index, is_heard: is_heard(id) })
    };
    metrics.replication.iter().flatten().map(view).collect()
}

fn change_of(step: Reconfiguration) -> ChangeMembers<u64, MemberNode> {
    match step {
        Reconfiguration::AddLearner { id, node } => ChangeMembers::AddNodes([(id, node)].into()),
        // Messages go where the table says, so that a wrong address here misleads nobody (see `peers`).
        Reconfiguration::SetNode { id, node } => ChangeMembers::SetNodes([(id, node)].into()),
        Reconfiguration::SetVoters(voters) => ChangeMembers::ReplaceAllVoters(voters),
        Reconfiguration::RemoveLearner(id) => ChangeMembers::RemoveNodes([id].into()),
    }
}

impl Consensus for RaftConsensus {
    fn member_id(&self) -> u64 {
        *self.inner.raft.node_id()
    }

    fn submit(&self, caller: Caller, op: Op) -> Result<Answer<CommandResult>, Error> {
        self.enqueue(caller.command(self.next_request_id(), op))
    }

    fn submit_read(&self) -> Result<Answer<Result<u64, Error>>, Error> {
        let (reader, answer) = oneshot::channel();
        self.inner.readers.try_send(reader).map_err(refused)?;
        Ok(answer)
    }

    fn propose_in_term(&self, term: u64, ops: Vec<Op>) -> BoxFuture<'_, Result<Vec<CommandResult>, Error>> {
        self.append_in_term(term, ops).boxed()
    }

    fn leadership(&self) -> Leadership {
        self.inner.leadership.borrow().clone()
    }

    fn watch_leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    fn watch_applied(&self) -> watch::Receiver<u64> {
        self.inner.applied.clone()
    }

    fn members(&self) -> Members {
        self.inner.routes.members.borrow().clone()
    }

    fn watch_members(&self) -> watch::Receiver<Members> {
        self.inner.routes.members.clone()
    }

    fn is_changing(&self) -> bool {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config != metrics.committed_membership_config
            || metrics.membership_config.membership().get_joint_config().len() > 1
    }

    fn peers(&self) -> BTreeMap<u64, PeerView> {
        peer_views(&self.inner.raft, self.inner.election_timeout)
    }

    fn reconfigure(&self, step: Reconfiguration) -> BoxFuture<'_, Result<(), Error>> {
        // A voter that is replaced leaves altogether; only a change of voters looks at this.
        let retain_as_learner = false;
        async move {
            let change = self.inner.raft.change_membership(change_of(step), retain_as_learner).await;
            change.map(drop).map_err(|error| match error {
                RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => Error::NotLeader,
                RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => Error::LeaderChanged,
                RaftError::APIError(error) => {
                    tracing::debug!(%error, "raft refuses a step of the membership");
                    Error::Unhealthy
                }
                RaftError::Fatal(_) => Error::Stopped,
            })
        }
        .boxed()
    }

    fn progress(&self) -> Progress {
        let data = self.inner.raft.data_metrics();
        let data = data.borrow_watched();
        let index = |log_id: &Option<LogId>| log_id.map_or(0, |log_id| log_id.index);
        Progress {
            last_index: index(&data.last_log),
            committed_index: index(&data.local_committed),
            applied_index: *self.inner.applied.borrow(),
        }
    }

    fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    fn stopped(&self) -> &CancellationToken {
        &self.inner.stopped
    }

    fn leader_client(&self) -> Option<Client> {
        let leader = self.leadership().leader?;
        self.inner.routes.client(Lane::Forward, leader)
    }

    fn member_client(&self, lane: Lane, id: u64) -> Option<Client> {
        self.inner.routes.client(lane, id)
    }

    fn trigger_transfer(&self, target: u64) -> BoxFuture<'_, Result<(), Error>> {
        async move { self.inner.raft.trigger().transfer_leader(target).await.map_err(|_| Error::Stopped) }
            .boxed()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        async {
            if let Err(error) = self.inner.raft.shutdown().await {
                tracing::warn!(%error, "raft did not stop cleanly");
            }
        }
        .boxed()
    }
}
