//! ReadIndex, shared: all readers that wait when a round starts are answered by that round.
//!
//! Promised: a reader that came before a round started, and has applied the log up to the round's index, sees every
//! write that was acknowledged before it asked (Raft §6.4). Readers that come during a round wait for the next one.

use std::time::Duration;

use balsa_proto::store::ReadIndexRequest;
use openraft::ReadPolicy;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::peers::Lane;
use super::raft::Raft;
use super::{Leadership, Routes, until_another_leads};
use crate::error::Error;
use crate::host::watch;

/// A reader that waits for a round; answered with the index to have applied.
pub type Reader = oneshot::Sender<Result<u64, Error>>;

/// Owns the queue of readers.
pub struct ReadRounds {
    pub raft: Raft,
    pub routes: Routes,
    pub leadership: watch::Receiver<Leadership>,
    pub inbox: mpsc::Receiver<Reader>,
    pub timeout: Duration,
    pub retry_interval: Duration,
}

impl ReadRounds {
    pub async fn run(mut self, shutdown: CancellationToken) {
        while let Some(Some(first)) = shutdown.run_until_cancelled(self.inbox.recv()).await {
            // Others are about to come: requests that one read of a socket brought.
            tokio::task::yield_now().await;
            let mut readers = vec![first];
            while let Ok(reader) = self.inbox.try_recv() {
                readers.push(reader);
            }
            let result = match shutdown.run_until_cancelled(self.round(&readers)).await {
                Some(result) => result,
                None => Err(Error::Stopped),
            };
            for reader in readers {
                // A reader may have given up.
                let _ = reader.send(result);
            }
        }
    }

    /// Tries until it succeeds, or until nobody waits any more.
    async fn round(&mut self, readers: &[Reader]) -> Result<u64, Error> {
        let timeout = self.timeout;
        let attempts = async {
            while readers.iter().any(|reader| !reader.is_closed()) {
                let leadership = self.leadership.borrow_and_update().clone();
                match self.attempt(&leadership).await {
                    Ok(index) => return Ok(index),
                    Err(Error::Stopped) => return Err(Error::Stopped),
                    // No quorum, another leader, a lost connection: asking again does no harm.
                    Err(_) => self.leadership.changed_within(self.retry_interval).await?,
                }
            }
            Err(Error::Timeout)
        };
        tokio::time::timeout(timeout, attempts).await.unwrap_or(Err(Error::Timeout))
    }

    async fn attempt(&self, leadership: &Leadership) -> Result<u64, Error> {
        match leadership {
            Leadership { is_leader: true, .. } => confirm(&self.raft).await,
            Leadership { leader: Some(leader), .. } => self.ask(*leader).await,
            Leadership { leader: None, .. } => Err(Error::NoLeader),
        }
    }

    async fn ask(&self, leader: u64) -> Result<u64, Error> {
        let mut client = self.routes.client(Lane::Forward, leader).ok_or(Error::NoLeader)?;
        tokio::select! {
            biased;
            response = client.read_index(ReadIndexRequest {}) => {
                Ok(response.map_err(|_| Error::LeaderChanged)?.into_inner().index)
            }
            () = until_another_leads(&self.leadership, leader) => Err(Error::LeaderChanged),
        }
    }
}

/// Asks a majority whether this member still leads; the index to read at if so.
pub async fn confirm(raft: &Raft) -> Result<u64, Error> {
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => Ok(linearizer.read_log_id().log_id().index),
        Err(openraft::errors::RaftError::APIError(_)) => Err(Error::NotLeader),
        Err(openraft::errors::RaftError::Fatal(_)) => Err(Error::Stopped),
    }
}
