//! Group proposals: the commands that wait become one batch, one entry, one sync.
//!
//! In: commands of this member's clients, and of other members that forward theirs. Out: one reply each.
//! A batch goes to raft here when this member leads, and to the leader otherwise. It is tried again only while it is
//! certain that it was not appended anywhere; once that is unknown, the clients are told so.
//! Promised: a client that was answered here reads here what it wrote, also by a serializable read; so the reply to a
//! forwarded command waits until this member has applied it.
//! Invariant: at most [`MAX_BATCHES_IN_FLIGHT`] batches are under way; meanwhile commands gather.

use std::time::{Duration, UNIX_EPOCH};

use balsa_proto::store::{Command, CommandBatch, ProposeRequest};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openraft::errors::{ClientWriteError, RaftError};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::peers::{Lane, never_sent};
use super::raft::Raft;
use super::types::EncodedBatch;
use super::{Leadership, Routes, reply_wire, until_another_leads};
use crate::apply::Reply;
use crate::error::Error;
use crate::host::{self, watch};
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_COMMANDS, MAX_BATCHES_IN_FLIGHT};

pub type CommandResult = Result<Reply, Error>;

/// A command that waits for its place in the log.
pub struct Proposal {
    pub command: Command,
    pub reply: oneshot::Sender<CommandResult>,
}

/// Owns the queue of commands.
pub struct Proposer {
    pub raft: Raft,
    pub routes: Routes,
    pub leadership: watch::Receiver<Leadership>,
    /// Index of the last entry that is applied here.
    pub applied: watch::Receiver<u64>,
    pub inbox: mpsc::Receiver<Proposal>,
    /// After this a batch is given up; its clients have given up by then.
    pub timeout: Duration,
    /// Pause between two tries.
    pub retry_interval: Duration,
}

impl Proposer {
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut in_flight = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(()) = in_flight.next(), if !in_flight.is_empty() => {}
                first = self.inbox.recv(), if in_flight.len() < MAX_BATCHES_IN_FLIGHT => {
                    let Some(first) = first else { return };
                    let (batch, replies) = self.gather(first);
                    in_flight.push(self.submission().deliver(batch, replies));
                }
            }
        }
    }

    /// `first` and whatever else waits, up to the limits of a batch.
    fn gather(&mut self, first: Proposal) -> (CommandBatch, Vec<oneshot::Sender<CommandResult>>) {
        let (mut commands, mut replies, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(Proposal { command, reply }) = next {
            // Nobody waits for a command whose request has timed out; it must not be applied late.
            if !reply.is_closed() {
                bytes += command.encoded_len();
                commands.push(command);
                replies.push(reply);
            }
            let room = bytes < MAX_BATCH_BYTES && commands.len() < MAX_BATCH_COMMANDS;
            next = if room { self.inbox.try_recv().ok() } else { None };
        }
        (CommandBatch { commands }, replies)
    }

    fn submission(&self) -> Submission {
        Submission {
            raft: self.raft.clone(),
            routes: self.routes.clone(),
            leadership: self.leadership.clone(),
            applied: self.applied.clone(),
            deadline: Instant::now() + self.timeout,
            retry_interval: self.retry_interval,
        }
    }
}

/// One batch on its way.
struct Submission {
    raft: Raft,
    routes: Routes,
    leadership: watch::Receiver<Leadership>,
    applied: watch::Receiver<u64>,
    deadline: Instant,
    retry_interval: Duration,
}

/// What a try came to.
enum Outcome {
    Replies(Vec<CommandResult>),
    /// Certainly appended nowhere.
    NotTaken,
    /// Perhaps appended, perhaps not.
    Unknown(Error),
}

impl Submission {
    async fn deliver(mut self, batch: CommandBatch, replies: Vec<oneshot::Sender<CommandResult>>) {
        if batch.commands.is_empty() {
            return;
        }
        let results = match tokio::time::timeout_at(self.deadline, self.submit(batch)).await {
            Ok(Ok(results)) => results,
            Ok(Err(error)) => replies.iter().map(|_| Err(error)).collect(),
            Err(_) => replies.iter().map(|_| Err(Error::Timeout)).collect(),
        };
        assert_eq!(results.len(), replies.len(), "one reply per command");
        for (reply, result) in replies.into_iter().zip(results) {
            // The client may have gone away; its command stands all the same.
            drop(reply.send(result));
        }
    }

    async fn submit(&mut self, mut batch: CommandBatch) -> Result<Vec<CommandResult>, Error> {
        loop {
            let leadership = self.leadership.borrow_and_update().clone();
            let outcome = match leadership {
                Leadership { is_leader: true, .. } => self.write(&mut batch).await,
                Leadership { leader: Some(leader), .. } => self.forward(leader, &batch).await,
                Leadership { leader: None, .. } => Outcome::NotTaken,
            };
            match outcome {
                Outcome::Replies(replies) => return Ok(replies),
                Outcome::Unknown(error) => return Err(error),
                Outcome::NotTaken => self.wait_for_news().await,
            }
        }
    }

    async fn write(&self, batch: &mut CommandBatch) -> Outcome {
        stamp(batch);
        match self.raft.client_write(EncodedBatch { bytes: batch.encode_to_vec().into() }).await {
            Ok(response) => Outcome::Replies(response.data.replies),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Outcome::NotTaken,
            Err(RaftError::APIError(ClientWriteError::LogEntryDiscarded(_))) => {
                Outcome::Unknown(Error::LeaderChanged)
            }
            Err(RaftError::APIError(
                ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_),
            )) => unreachable!("a batch of commands is neither a membership change nor conditional"),
            Err(RaftError::Fatal(_)) => Outcome::Unknown(Error::Stopped),
        }
    }

    async fn forward(&mut self, leader: u64, batch: &CommandBatch) -> Outcome {
        let Some(mut client) = self.routes.client(Lane::Forward, leader) else { return Outcome::NotTaken };
        // Others queue behind this batch.
        let answer = tokio::select! {
            biased;
            answer = client.propose(ProposeRequest { batch: Some(batch.clone()) }) => answer,
            () = until_another_leads(&self.leadership, leader) => return Outcome::Unknown(Error::LeaderChanged),
        };
        match answer {
            Ok(response) => {
                let response = response.into_inner();
                let index = response.applied_index;
                let Some(replies) = reply_wire::replies_from(response, batch.commands.len()) else {
                    return Outcome::Unknown(Error::Unhealthy);
                };
                match self.applied.wait_for(|applied| *applied >= index).await {
                    Ok(_) => Outcome::Replies(replies),
                    Err(_) => Outcome::Unknown(Error::Stopped),
                }
            }
            Err(status) if Error::from_status(&status) == Some(Error::NotLeader) => Outcome::NotTaken,
            Err(status) if never_sent(&status) => Outcome::NotTaken,
            Err(status) => {
                Outcome::Unknown(Error::from_status(&status).unwrap_or(Error::TimeoutDueToConnectionLost))
            }
        }
    }

    /// Until leadership changes, or for a moment: a refusal may come before the news of its cause.
    async fn wait_for_news(&mut self) {
        if self.leadership.changed_within(self.retry_interval).await.is_err() {
            // The task that tells is gone: the member stops, and so will this.
            tokio::time::sleep(self.retry_interval).await;
        }
    }
}

/// The leader's clock is the only time that apply may look at.
fn stamp(batch: &mut CommandBatch) {
    let unix_ms = unix_ms_now();
    for command in &mut batch.commands {
        command.unix_ms = unix_ms;
    }
}

pub fn unix_ms_now() -> i64 {
    let since_epoch = host::wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
