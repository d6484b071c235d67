//! The raft log, at `<data-dir>/member/wal`: what raft asks of its storage, over [`super::wal`].
//!
//! In: appends, votes, truncations and purges from raft. Out: entries for apply and for followers.
//! Writes go through one thread ([`super::log_writer`]) in the order in which they were made; an append returns at
//! once, is readable at once, and reports once it is on disk. The newest entries are served from memory.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::codec::{self, DecodeError};
use super::log_cache::LogCache;
use super::log_writer::{self, Job};
use super::stored::Seed;
use super::types::{Entry, LogId, Payload, TypeConfig, Vote};
use super::wal::index::Located;
use super::wal::record::Records;
use super::wal::{self, Disk, HostDisk, Index, Opened};
use super::write_clock::WriteClock;
use crate::failpoint::{self, Point};
use crate::host;
use crate::limits::{LOG_WRITER_QUEUE, MAX_APPEND_BYTES};
use crate::metrics::LogMetrics;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Wal(#[from] wal::OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the first record of the raft log cannot be written")]
    Seed(#[source] io::Error),
    #[error("the thread that writes the raft log does not start")]
    Thread(#[source] io::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("read entry {index} of the raft log")]
    Io { index: u64, source: io::Error },
    #[error("entry {index} of the raft log is corrupt")]
    Corrupt { index: u64, source: DecodeError },
    #[error("entry {have} of the raft log stands in the place of entry {index}")]
    Misplaced { index: u64, have: u64 },
}

/// What the reader side and the writer thread share.
pub struct Shared {
    pub cache: RwLock<LogCache>,
    index: Arc<RwLock<Index>>,
    vote: RwLock<Option<Vote>>,
    purged: RwLock<Option<LogId>>,
    pub clock: WriteClock,
    /// Who waits for its tracker knows that nobody uses the log any more.
    _open: Option<TaskTrackerToken>,
}

/// The write side. There is one, and raft's core owns it.
pub struct LogStore {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    committed: Option<LogId>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct LogReader {
    shared: Arc<Shared>,
}

impl LogStore {
    /// Opens the log, checks that it belongs to (cluster id, member id), and starts its writer thread.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        identity: (u64, u64),
        metrics: LogMetrics,
        open: Option<TaskTrackerToken>,
    ) -> Result<LogStore, OpenError> {
        let Opened { wal, meta, index } = wal::open(disk, path, identity, metrics)?;
        let cache = RwLock::new(load_tail(&index)?);
        let shared = Arc::new(Shared {
            cache,
            index,
            vote: RwLock::new(meta.vote),
            purged: RwLock::new(meta.purged),
            clock: WriteClock::default(),
            _open: open,
        });
        let (jobs, receiver) = mpsc::channel(LOG_WRITER_QUEUE);
        let writer = shared.clone();
        host::spawn_thread("raft-log", log_writer::run(writer, wal, receiver)).map_err(OpenError::Thread)?;
        Ok(LogStore { shared, jobs, committed: meta.committed })
    }

    /// True when nothing was ever written: the member joins or forms a cluster for the first time.
    pub fn is_pristine(&self) -> bool {
        let nothing_purged = self.shared.purged.read().is_none();
        nothing_purged && self.shared.vote.read().is_none() && self.shared.cache.read().last().is_none()
    }

    pub fn write_clock(&self) -> WriteClock {
        self.shared.clock.clone()
    }

    /// To look at how much the log holds while raft owns it.
    pub fn index(&self) -> Arc<RwLock<Index>> {
        self.shared.index.clone()
    }

    async fn submit(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).await.map_err(|_| io::Error::other("the thread that writes the raft log is gone"))
    }

    async fn submit_and_wait(&self, job: impl FnOnce(log_writer::Done) -> Job) -> io::Result<()> {
        let (done, result) = oneshot::channel();
        self.submit(job(done)).await?;
        result.await.map_err(|_| io::Error::other("the thread that writes the raft log is gone"))?
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let last_purged_log_id = *self.shared.purged.read();
        let last_log_id = self.shared.cache.read().last().or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader { shared: self.shared.clone() }
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        self.submit_and_wait(|done| Job::SaveVote { vote, done }).await?;
        *self.shared.vote.write() = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.committed = committed;
        match committed {
            Some(log_id) => self.submit(Job::SaveCommitted(log_id)).await,
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        // The committed position may be one write behind the log after a truncation by a snapshot.
        let last = self.shared.cache.read().last().or(*self.shared.purged.read());
        Ok(self.committed.min(last))
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        {
            let mut cache = self.shared.cache.write();
            for entry in &entries {
                cache.push(entry.clone());
            }
        }
        self.submit(Job::Append { entries, flushed }).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let last = last.map(|log_id| log_id.index);
        self.shared.cache.write().truncate_after(last);
        self.submit_and_wait(|done| Job::TruncateAfter { last, done }).await?;
        refill_if_empty(&self.shared).map_err(io::Error::other)
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.submit_and_wait(|done| Job::Purge { upto, done }).await?;
        failpoint::pass(Point::LogAfterPurge);
        *self.shared.purged.write() = Some(upto);
        self.shared.cache.write().purge(upto.index);
        Ok(())
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.read(to_range(&range), usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, MAX_APPEND_BYTES).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(*self.shared.vote.read())
    }
}

impl LogReader {
    async fn read(&self, range: Range<u64>, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let (cached, from) = {
            let cache = self.shared.cache.read();
            (cache.slice(range.clone()), cache.first().unwrap_or(u64::MAX))
        };
        if range.start >= from {
            return Ok(cut(cached, max_bytes));
        }
        let older = range.start..range.end.min(from);
        let located = self.shared.index.read().locate(older, max_bytes);
        let mut entries = host::spawn_blocking(move || read_entries(&located))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        let reaches_cache = entries.last().is_none_or(|entry| entry.log_id.index + 1 == from);
        if reaches_cache {
            entries.extend(cached);
        }
        Ok(cut(entries, max_bytes))
    }
}

/// The first entries that stay within `max_bytes`, and at least one.
fn cut(mut entries: Vec<Entry>, max_bytes: usize) -> Vec<Entry> {
    let mut bytes = 0usize;
    let fits = entries.iter().position(|entry| {
        bytes = bytes.saturating_add(payload_bytes(entry));
        bytes > max_bytes
    });
    if let Some(fits) = fits {
        entries.truncate(fits.max(1));
    }
    entries
}

fn payload_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Normal(batch) => batch.bytes.len(),
        Payload::Blank | Payload::Membership(_) => 0,
    }
}

fn to_range(bounds: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match bounds.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start + 1,
        Bound::Unbounded => 0,
    };
    let end = match bounds.end_bound() {
        Bound::Included(end) => end + 1,
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

/// Makes the log of a member whose state did not come from a log: empty, and beginning behind that state.
pub fn seed(path: &Path, identity: (u64, u64), seed: &Seed) -> Result<(), OpenError> {
    // Nobody reads the time that one write took.
    let mut opened = wal::open(Arc::new(HostDisk), path, identity, LogMetrics::default())?;
    let mut records = Records::default();
    records.vote(&seed.vote);
    records.committed(&seed.log_id);
    records.purge(&seed.log_id);
    opened.wal.write(records).map_err(OpenError::Seed)
}

/// The last entry alone: it tells where the log ends, and the cache grows from there.
fn load_tail(index: &RwLock<Index>) -> Result<LogCache, ReadError> {
    let mut cache = LogCache::default();
    let last = {
        let index = index.read();
        index.last().map(|last| index.locate(last..last + 1, 0))
    };
    for located in last.into_iter().flatten() {
        cache.push(read_entry(&located)?);
    }
    Ok(cache)
}

fn refill_if_empty(shared: &Shared) -> Result<(), ReadError> {
    let mut cache = shared.cache.write();
    if cache.last().is_none() {
        *cache = load_tail(&shared.index)?;
    }
    Ok(())
}

fn read_entries(located: &[Located]) -> Result<Vec<Entry>, ReadError> {
    located.iter().map(read_entry).collect()
}

fn read_entry(located: &Located) -> Result<Entry, ReadError> {
    let index = located.index;
    let bytes = located.read().map_err(|source| ReadError::Io { index, source })?;
    let entry = codec::decode_entry(&bytes).map_err(|source| ReadError::Corrupt { index, source })?;
    match entry.index() {
        have if have == index => Ok(entry),
        have => Err(ReadError::Misplaced { index, have }),
    }
}
