//! The one thread that owns the [`Applier`]: disk work stays away from the async workers.
//!
//! In: committed entries and snapshot work, one after the other. Out: one answer each; what was proposed here is answered from
//! this very thread, so that no other has to wake in between.
//! Promised: the applied position that readers wait for moves after a change is visible to them and before its proposer hears
//! of it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use balsa_proto::store::command::Op;
use balsa_proto::store::{CommandBatch, MemberAdd, MemberRecord};
use bytes::Bytes;
use prost::Message;
use tokio::sync::{mpsc, oneshot};

use super::snapshot::SnapshotDir;
use super::types::{
    BatchReply, EncodedBatch, Entry, LogId, Membership, Payload, SnapshotMeta, StoredMembership, TypeConfig,
};
use super::{MemberNode, codec};
use crate::apply::{AppliedPosition, Applier, Syncer};
use crate::auth::Caller;
use crate::host::{self, watch};

/// Jobs that wait for the thread. Raft's worker sends one at a time.
const QUEUE: usize = 4;

enum Job {
    Apply { committed: Committed, done: Done<()> },
    Checkpoint { dir: PathBuf, done: Done<()> },
    Install { dir: Arc<SnapshotDir>, meta: SnapshotMeta, done: Done<()> },
    Lend { done: Done<Syncer> },
}

/// Entries, and who waits for what becomes of each.
#[derive(Default)]
pub struct Committed {
    pub entries: Vec<Entry>,
    pub responders: Vec<Option<Responder>>,
}

pub type Responder = openraft::storage::ApplyResponder<TypeConfig>;

type Done<T> = oneshot::Sender<io::Result<T>>;

/// Cheap to clone. The thread ends with its last handle.
#[derive(Clone)]
pub struct ApplyHandle {
    jobs: mpsc::Sender<Job>,
}

/// Where the state stood when the member started.
pub struct AppliedState {
    pub last_applied: Option<LogId>,
    pub membership: StoredMembership,
}

pub fn applied_state(applier: &Applier) -> Result<AppliedState, codec::DecodeError> {
    let (log_id, membership) = applier.applied();
    let last_applied = log_id.as_ref().map(codec::decode_log_id).transpose()?;
    let membership = membership.as_ref().map(codec::decode_membership).transpose()?.unwrap_or_default();
    Ok(AppliedState { last_applied, membership })
}

/// `applied_index` is told the index of the last applied entry.
pub fn spawn(applier: Applier, applied_index: watch::Sender<u64>) -> io::Result<ApplyHandle> {
    let (jobs, receiver) = mpsc::channel(QUEUE);
    host::spawn_thread("apply", ApplyThread { applier, applied_index }.run(receiver))?;
    Ok(ApplyHandle { jobs })
}

impl ApplyHandle {
    /// Returns once all of it is applied and answered.
    pub async fn apply(&self, committed: Committed) -> io::Result<()> {
        self.ask(|done| Job::Apply { committed, done }).await
    }

    pub async fn checkpoint(&self, dir: PathBuf) -> io::Result<()> {
        // A checkpoint is made of files: what has come to the disk by now need not be waited for by those who apply.
        self.sync().await?;
        self.ask(|done| Job::Checkpoint { dir, done }).await
    }

    pub async fn install(&self, dir: Arc<SnapshotDir>, meta: SnapshotMeta) -> io::Result<()> {
        self.ask(|done| Job::Install { dir, meta, done }).await
    }

    /// Everything applied so far survives a power cut once this returns. Applying goes on meanwhile.
    pub async fn sync(&self) -> io::Result<()> {
        let syncer = self.ask(|done| Job::Lend { done }).await?;
        let synced = host::spawn_blocking(move || syncer.sync()).await;
        synced.map_err(io::Error::other)?.map_err(io::Error::other)
    }

    async fn ask<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> io::Result<T> {
        let (done, answer) = oneshot::channel();
        let gone = || io::Error::other("the apply thread is gone");
        self.jobs.send(job(done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct ApplyThread {
    applier: Applier,
    applied_index: watch::Sender<u64>,
}

impl ApplyThread {
    /// An answer that nobody waits for any more is dropped: the work counts, not the asker.
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Apply { committed, done } => drop(done.send(self.apply(committed))),
                Job::Checkpoint { dir, done } => {
                    drop(done.send(self.applier.checkpoint(&dir).map_err(io::Error::other)))
                }
                Job::Install { dir, meta, done } => drop(done.send(self.install(&dir, &meta))),
                Job::Lend { done } => drop(done.send(Ok(self.applier.syncer()))),
            }
        }
    }

    fn apply(&mut self, committed: Committed) -> io::Result<()> {
        let Committed { entries, responders } = committed;
        let Some(last) = entries.last().map(|entry| entry.log_id) else { return Ok(()) };
        let work = entries.iter().map(decode).collect::<io::Result<Vec<_>>>()?;
        let replies = self.applier.apply(&work).map_err(io::Error::other)?;
        assert_eq!(replies.len(), responders.len(), "one reply list per entry");
        self.applied_index.send_replace(last.index);
        for (responder, replies) in responders.into_iter().zip(replies) {
            if let Some(responder) = responder {
                responder.send(BatchReply { replies });
            }
        }
        Ok(())
    }

    fn install(&mut self, dir: &SnapshotDir, meta: &SnapshotMeta) -> io::Result<()> {
        self.applier.install(dir.path()).map_err(io::Error::other)?;
        let found = applied_state(&self.applier).map_err(io::Error::other)?;
        if found.last_applied != meta.last_log_id {
            let (found, want) = (found.last_applied, meta.last_log_id);
            return Err(io::Error::other(format!(
                "the snapshot holds the state of {found:?} and not of {want:?}"
            )));
        }
        self.applied_index.send_replace(meta.last_log_id.map_or(0, |log_id| log_id.index));
        Ok(())
    }
}

fn decode(entry: &Entry) -> io::Result<(AppliedPosition, CommandBatch)> {
    let (batch, membership) = match &entry.payload {
        Payload::Blank => (CommandBatch::default(), None),
        Payload::Normal(EncodedBatch { bytes }) => {
            (CommandBatch::decode(bytes.clone()).map_err(io::Error::other)?, None)
        }
        Payload::Membership(membership) => {
            let stored = StoredMembership::new(Some(entry.log_id), membership.clone());
            let is_first = entry.log_id.index == 0;
            let batch = if is_first { first_members(membership) } else { CommandBatch::default() };
            (batch, Some(codec::encode_membership(&stored)))
        }
    };
    Ok((position(entry.log_id, membership), batch))
}

/// The log begins with the members of the new cluster: they are the first that the state knows.
fn first_members(membership: &Membership) -> CommandBatch {
    let command = |(id, node): (&u64, &MemberNode)| {
        let member = MemberRecord {
            member_id: *id,
            name: node.name.clone(),
            peer_urls: node.peer_urls.clone(),
            ..Default::default()
        };
        let add = MemberAdd { member: Some(member), max_learners: 0 };
        Caller::Server.command(0, Op::MemberAdd(add))
    };
    CommandBatch { commands: membership.nodes().map(command).collect() }
}

/// Raft's first index is 0 here; the state counts from 1, as etcd does.
fn position(log_id: LogId, membership: Option<Bytes>) -> AppliedPosition {
    AppliedPosition { log_index: log_id.index + 1, log_id: codec::encode_log_id(&log_id), membership }
}
