//! The owner of the state: applies entries, keeps the applied position, makes and installs checkpoints.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use balsa_proto::store::CommandBatch;
use balsa_proto::store::command::Op;
use bytes::Bytes;

use super::command::{self, Core, Reply};
use crate::auth::SimpleTokens;
use crate::backend::{Backend, BackendError, Column, WriteBatch};
use crate::error::Error;
use crate::failpoint::{self, Point};
use crate::lease::Lessor;
use crate::limits::DEFAULT_TOKEN_TTL;
use crate::mvcc::codec::Kind;
use crate::mvcc::compaction::{Job, Remover};
use crate::mvcc::load::{self, Loaded};
use crate::mvcc::read::ReadError;
use crate::mvcc::write::{Changed, Writer};
use crate::mvcc::{Mvcc, codec};
use crate::watch::WatchHub;

/// Records of the column family `meta`.
pub(crate) const APPLIED_INDEX: &[u8] = b"applied_index";
pub(crate) const APPLIED_LOG_ID: &[u8] = b"applied_log_id";
pub(crate) const MEMBERSHIP: &[u8] = b"membership";

/// Whether a record of `meta` is of the raft log and not of the data.
pub(crate) fn is_position(key: &[u8]) -> bool {
    [APPLIED_INDEX, APPLIED_LOG_ID, MEMBERSHIP].contains(&key)
}

/// Where an entry stands in the raft log; travels in the same batch as what the entry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedPosition {
    pub log_index: u64,
    /// Opaque here: the consensus code's own encoding.
    pub log_id: Bytes,
    /// `None`: unchanged by this entry.
    pub membership: Option<Bytes>,
}

/// What must be equal on all members, since it takes part in apply.
#[derive(Debug, Clone, Copy)]
pub struct ApplyOptions {
    /// Shorter leases are granted this long: one and a half election timeouts, rounded up to seconds.
    pub min_lease_ttl_seconds: i64,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        // For etcd's default election timeout of one second.
        Self { min_lease_ttl_seconds: 2 }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("load the state")]
    Load(#[from] BackendError),
    #[error("start the compaction thread")]
    Thread(#[source] std::io::Error),
}

/// The state can go no further; the member must stop.
#[derive(Debug, thiserror::Error)]
pub enum FatalError {
    #[error("apply the entry {log_index}")]
    Apply { log_index: u64, source: BackendError },
    #[error("a live record is missing from the state at the entry {log_index}")]
    Missing { log_index: u64 },
    #[error("write the entries up to {log_index}")]
    Commit { log_index: u64, source: BackendError },
    #[error("make a checkpoint")]
    Checkpoint(#[source] BackendError),
    #[error("sync the state")]
    Sync(#[source] BackendError),
    #[error("install a checkpoint")]
    Install(#[source] BackendError),
}

/// The single writer of the state.
#[derive(Debug)]
pub struct Applier {
    core: Core,
    mvcc: Mvcc,
    hub: WatchHub,
    remover: Remover,
    position: Position,
    /// The last compaction that was handed to the remover.
    compaction: i64,
}

#[derive(Debug, Clone, Default)]
struct Position {
    log_index: u64,
    log_id: Option<Bytes>,
    membership: Option<Bytes>,
}

impl Applier {
    pub fn open(
        backend: Arc<dyn Backend>,
        options: ApplyOptions,
    ) -> Result<(Applier, Mvcc, WatchHub, Lessor), OpenError> {
        let Loaded { version, compact_finished, made_unix_ms } = load::load(&backend)?;
        let position = load_position(&*backend)?;
        let mvcc = Mvcc::new(version.clone(), compact_finished);
        let hub = WatchHub::new(mvcc.clone());
        let lessor = Lessor::load(&version)?;
        let remover = Remover::spawn(mvcc.clone()).map_err(OpenError::Thread)?;
        let compaction = version.compact_revision;
        let tokens = SimpleTokens::new(DEFAULT_TOKEN_TTL);
        let core =
            Core { writer: Writer::new(version, made_unix_ms), lessor: lessor.clone(), tokens, options };
        let applier = Applier { core, mvcc: mvcc.clone(), hub: hub.clone(), remover, position, compaction };
        applier.remove_from(compact_finished, false);
        Ok((applier, mvcc, hub, lessor))
    }

    /// The tokens that this member's clients may show.
    pub fn set_tokens(&mut self, tokens: SimpleTokens) {
        self.core.tokens = tokens;
    }

    /// The log id and the membership of the last applied entry, as they were handed in.
    pub fn applied(&self) -> (Option<Bytes>, Option<Bytes>) {
        (self.position.log_id.clone(), self.position.membership.clone())
    }

    pub fn applied_index(&self) -> u64 {
        self.position.log_index
    }

    /// Applies entries in log order, in one batch. Replies: one list per entry, one reply per command.
    pub fn apply(
        &mut self,
        entries: &[(AppliedPosition, CommandBatch)],
    ) -> Result<Vec<Vec<Result<Reply, Error>>>, FatalError> {
        let mut replies = Vec::with_capacity(entries.len());
        let mut changes = Vec::new();
        for (position, batch) in entries {
            let again = self.position.log_id.is_some() && position.log_index <= self.position.log_index;
            assert!(!again, "entry {} is applied twice", position.log_index);
            replies.push(self.apply_batch(position.log_index, batch, &mut changes)?);
            self.position.log_index = position.log_index;
            self.position.log_id = Some(position.log_id.clone());
            if position.membership.is_some() {
                self.position.membership.clone_from(&position.membership);
            }
        }
        self.commit(changes)?;
        Ok(replies)
    }

    fn apply_batch(
        &mut self,
        log_index: u64,
        batch: &CommandBatch,
        changes: &mut Vec<Vec<Changed>>,
    ) -> Result<Vec<Result<Reply, Error>>, FatalError> {
        let mut replies = Vec::with_capacity(batch.commands.len());
        for command in &batch.commands {
            replies.push(match command::apply(&mut self.core, log_index, command) {
                Ok(reply) => Ok(reply),
                Err(ReadError::Client(error)) => Err(error),
                Err(ReadError::Vanished) => return Err(FatalError::Missing { log_index }),
                Err(ReadError::Backend(source)) => return Err(FatalError::Apply { log_index, source }),
            });
            self.count_command(command.op.as_ref(), replies.last());
            let changed = self.core.finish(command.unix_ms);
            if !changed.is_empty() {
                changes.push(changed);
            }
        }
        Ok(replies)
    }

    /// Backend first, then readers, then watchers: whoever hears of a revision can read it.
    fn commit(&mut self, changes: Vec<Vec<Changed>>) -> Result<(), FatalError> {
        let position = &self.position;
        let log_index = position.log_index;
        failpoint::pass(Point::ApplyBeforeWrite);
        let began = Instant::now();
        let version = self
            .core
            .writer
            .commit(|batch| put_position(batch, position))
            .map_err(|source| FatalError::Commit { log_index, source })?;
        self.mvcc.counts().commit_seconds.observe(began.elapsed().as_secs_f64());
        failpoint::pass(Point::ApplyAfterWrite);
        let compact_revision = version.compact_revision;
        self.mvcc.publish(version);
        self.count(&changes);
        self.hub.notify(changes);
        if compact_revision > self.compaction {
            let finished = std::mem::replace(&mut self.compaction, compact_revision);
            self.remove_from(finished, true);
        }
        Ok(())
    }

    fn count_command(&self, op: Option<&Op>, reply: Option<&Result<Reply, Error>>) {
        let counts = self.mvcc.counts();
        if let Some(Op::Txn(_)) = op {
            counts.txns.inc();
        }
        match reply {
            Some(Ok(Reply::LeaseGrant(granted))) => {
                counts.lease_grants.inc();
                counts.lease_ttls.observe(granted.ttl as f64);
            }
            Some(Ok(Reply::LeaseRevoke(_))) => counts.lease_revokes.inc(),
            _ => {}
        }
    }

    fn count(&self, changes: &[Vec<Changed>]) {
        let all = changes.iter().map(Vec::len).sum::<usize>() as u64;
        let (mut puts, mut put_bytes) = (0, 0);
        for change in changes.iter().flatten().filter(|change| change.kind == Kind::Put) {
            puts += 1;
            put_bytes += (change.kv.key.len() + change.kv.value.len()) as u64;
        }
        let counts = self.mvcc.counts();
        counts.puts.add(puts);
        counts.put_bytes.add(put_bytes);
        counts.deletes.add(all - puts);
    }

    fn remove_from(&self, finished: i64, fresh: bool) {
        if finished < self.compaction {
            let backend = self.mvcc.version().backend.clone();
            self.remover.start(Job { backend, finished, target: self.compaction, fresh });
        }
    }

    /// What makes all that was applied by now survive a power cut.
    pub fn syncer(&self) -> Syncer {
        Syncer { backend: self.mvcc.version().backend.clone() }
    }

    /// Writes the applied state into `dir`, which must not exist yet. Plain files, no folders.
    pub fn checkpoint(&self, dir: &Path) -> Result<(), FatalError> {
        self.mvcc.version().backend.checkpoint(dir).map_err(FatalError::Checkpoint)?;
        failpoint::pass(Point::CheckpointAfterMake);
        Ok(())
    }

    /// Replaces the whole state by a checkpoint of another member (the files move). Watchers go to catch-up from where they
    /// are: they hear what they have not heard yet, or that it is compacted, and never an old event again.
    pub fn install(&mut self, dir: &Path) -> Result<(), FatalError> {
        let backend = self.mvcc.version().backend.install(dir).map_err(FatalError::Install)?;
        let Loaded { version, compact_finished, made_unix_ms } =
            load::load(&backend).map_err(FatalError::Install)?;
        self.position = load_position(&*backend).map_err(FatalError::Install)?;
        self.core.lessor.reload(&version).map_err(FatalError::Install)?;
        self.core.writer = Writer::new(version.clone(), made_unix_ms);
        // What ended them in the meantime was not seen here.
        self.core.tokens.forget_all();
        self.compaction = version.compact_revision;
        let revision = version.revision;
        self.mvcc.publish(version);
        self.hub.restored(revision);
        self.remove_from(compact_finished, false);
        Ok(())
    }
}

/// Syncs the state away from its owner, who goes on applying meanwhile: to be done before the raft log is purged.
#[derive(Debug)]
pub struct Syncer {
    backend: Arc<dyn Backend>,
}

impl Syncer {
    pub fn sync(&self) -> Result<(), FatalError> {
        failpoint::pass(Point::StateBeforeSync);
        self.backend.sync().map_err(FatalError::Sync)?;
        failpoint::pass(Point::StateAfterSync);
        Ok(())
    }
}

fn put_position(batch: &mut WriteBatch, position: &Position) {
    batch.put(Column::Meta, APPLIED_INDEX, codec::i64_value(position.log_index as i64));
    if let Some(log_id) = &position.log_id {
        batch.put(Column::Meta, APPLIED_LOG_ID, log_id.clone());
    }
    if let Some(membership) = &position.membership {
        batch.put(Column::Meta, MEMBERSHIP, membership.clone());
    }
}

/// How far the state is, for who only looks at it.
pub fn applied_index(backend: &dyn Backend) -> Result<u64, BackendError> {
    load_position(backend).map(|position| position.log_index)
}

fn load_position(backend: &dyn Backend) -> Result<Position, BackendError> {
    let log_index = match backend.get(Column::Meta, APPLIED_INDEX)? {
        Some(bytes) => {
            codec::parse_i64(&bytes).ok_or_else(|| crate::mvcc::read::corrupt(Column::Meta, APPLIED_INDEX))?
        }
        None => 0,
    };
    Ok(Position {
        log_index: log_index as u64,
        log_id: backend.get(Column::Meta, APPLIED_LOG_ID)?,
        membership: backend.get(Column::Meta, MEMBERSHIP)?,
    })
}
