//! Hands committed entries to [`crate::apply`], in log order, and makes and takes snapshots.
//!
//! Invariant: nothing is purged from the log before the state that stands for it is synced (`build_snapshot`).

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder, Snapshot};

use super::apply_thread::{AppliedState, ApplyHandle, Committed};
use super::snapshot::{SnapshotFiles, SnapshotRoot};
use super::types::{LogId, Payload, SnapshotMeta, StoredMembership, TypeConfig};
use crate::limits::MAX_APPLY_ENTRIES;
use crate::metrics::Counter;

type RaftSnapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotFiles>;

pub struct StateMachine {
    apply: ApplyHandle,
    snapshots: SnapshotRoot,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    /// Where the newest built snapshot stands; `None` until raft builds or installs one in this run.
    built: bool,
    /// What is slower is logged and counted.
    slow: Option<(Duration, Counter)>,
}

/// Captures where the state stands; the files are made later, on demand.
pub struct SnapshotBuilder {
    apply: ApplyHandle,
    meta: SnapshotMeta,
}

impl StateMachine {
    pub fn new(apply: ApplyHandle, state: AppliedState, snapshots: SnapshotRoot) -> Self {
        let AppliedState { last_applied, membership } = state;
        StateMachine { apply, snapshots, last_applied, membership, built: false, slow: None }
    }

    pub fn telling_slow(mut self, threshold: Duration, counter: Counter) -> Self {
        self.slow = Some((threshold, counter));
        self
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() }
    }

    async fn apply_some(&mut self, committed: Committed) -> io::Result<()> {
        let entries = &committed.entries;
        let Some(last) = entries.last().map(|entry| entry.log_id) else { return Ok(()) };
        let membership = entries.iter().rev().find_map(|entry| match &entry.payload {
            Payload::Membership(membership) => {
                Some(StoredMembership::new(Some(entry.log_id), membership.clone()))
            }
            Payload::Blank | Payload::Normal(_) => None,
        });
        let began = Instant::now();
        self.apply.apply(committed).await?;
        self.tell_slow(began.elapsed());
        self.last_applied = Some(last);
        if let Some(membership) = membership {
            self.membership = membership;
        }
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
        let mut committed = Committed::default();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            committed.entries.push(entry);
            committed.responders.push(responder);
            if committed.entries.len() == MAX_APPLY_ENTRIES {
                self.apply_some(std::mem::take(&mut committed)).await?;
            }
        }
        self.apply_some(committed).await
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
