//! Hands committed entries to [`crate::apply`], in log order, and makes and takes snapshots.
//!
//! Promised: the applied position that readers wait for moves only after the change is visible to them.
//! Invariant: nothing is purged from the log before the state that stands for it is synced (`build_snapshot`).

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder, Snapshot};
use tokio::sync::watch;

use super::apply_thread::{AppliedState, ApplyHandle};
use super::snapshot::{SnapshotFiles, SnapshotRoot};
use super::types::{BatchReply, Entry, LogId, Payload, SnapshotMeta, StoredMembership, TypeConfig};
use crate::limits::MAX_APPLY_ENTRIES;
use crate::metrics::Counter;

type RaftSnapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotFiles>;
type Responder = openraft::storage::ApplyResponder<TypeConfig>;

pub struct StateMachine {
    apply: ApplyHandle,
    snapshots: SnapshotRoot,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    /// Where the newest built snapshot stands; `None` until raft builds or installs one in this run.
    built: bool,
    /// Index of the last applied entry, for readers.
    applied_index: watch::Sender<u64>,
    /// What is slower is logged and counted.
    slow: Option<(Duration, Counter)>,
}

/// Captures where the state stands; the files are made later, on demand.
pub struct SnapshotBuilder {
    apply: ApplyHandle,
    meta: SnapshotMeta,
}

impl StateMachine {
    pub fn new(
        apply: ApplyHandle,
        state: AppliedState,
        snapshots: SnapshotRoot,
        applied_index: watch::Sender<u64>,
    ) -> Self {
        let AppliedState { last_applied, membership } = state;
        applied_index.send_replace(last_applied.map_or(0, |log_id| log_id.index));
        StateMachine { apply, snapshots, last_applied, membership, built: false, applied_index, slow: None }
    }

    pub fn telling_slow(mut self, threshold: Duration, counter: Counter) -> Self {
        self.slow = Some((threshold, counter));
        self
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() }
    }

    async fn apply_some(
        &mut self,
        entries: Vec<Entry>,
        responders: Vec<Option<Responder>>,
    ) -> io::Result<()> {
        let Some(last) = entries.last().map(|entry| entry.log_id) else { return Ok(()) };
        let membership = entries.iter().rev().find_map(|entry| match &entry.payload {
            Payload::Membership(membership) => {
                Some(StoredMembership::new(Some(entry.log_id), membership.clone()))
            }
            Payload::Blank | Payload::Normal(_) => None,
        });
        let began = Instant::now();
        let replies = self.apply.apply(entries).await?;
        self.tell_slow(began.elapsed());
        assert_eq!(replies.len(), responders.len(), "one reply list per entry");
        self.last_applied = Some(last);
        if let Some(membership) = membership {
            self.membership = membership;
        }
        self.applied_index.send_replace(last.index);
        respond(responders, replies);
        Ok(())
    }
}

impl StateMachine {
    fn tell_slow(&self, took: Duration) {
        if let Some((threshold, counter)) = &self.slow
            && took > *threshold
        {
            counter.inc();
            tracing::warn!(?took, expected = ?threshold, "apply took too long");
        }
    }
}

fn respond(responders: Vec<Option<Responder>>, replies: Vec<BatchReply>) {
    for (responder, reply) in responders.into_iter().zip(replies) {
        if let Some(responder) = responder {
            responder.send(reply);
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFiles;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let (mut batch, mut responders) = (Vec::new(), Vec::new());
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            batch.push(entry);
            responders.push(responder);
            if batch.len() == MAX_APPLY_ENTRIES {
                self.apply_some(std::mem::take(&mut batch), std::mem::take(&mut responders)).await?;
            }
        }
        self.apply_some(batch, responders).await
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<SnapshotBuilder> {
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.built = true;
        SnapshotBuilder { apply: self.apply.clone(), meta: self.meta() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, files: SnapshotFiles) -> io::Result<()> {
        let SnapshotFiles(Some(dir)) = files else {
            return Err(io::Error::other("a snapshot without files cannot be installed"));
        };
        self.apply.install(dir, meta.clone()).await?;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.built = true;
        self.applied_index.send_replace(meta.last_log_id.map_or(0, |log_id| log_id.index));
        Ok(())
    }

    /// Made anew for whoever asks, so that a follower gets the latest and no files lie about.
    async fn get_current_snapshot(&mut self) -> io::Result<Option<RaftSnapshot>> {
        if !self.built {
            return Ok(None);
        }
        let dir = self.snapshots.outgoing();
        self.apply.checkpoint(dir.path().to_owned()).await?;
        Ok(Some(Snapshot { meta: self.meta(), snapshot: SnapshotFiles(Some(Arc::new(dir))) }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotFiles;

    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        self.apply.sync().await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: SnapshotFiles(None) })
    }
}
