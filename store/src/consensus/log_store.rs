//! The raft log on disk: a RocksDB of its own at `<data-dir>/member/log`.
//!
//! In: appends, votes, truncations and purges from raft. Out: entries for apply and for followers.
//! Writes go through one thread ([`super::log_writer`]) in the order in which they were made; an append returns at
//! once, is readable at once, and reports once it is on disk. The newest entries are served from memory.
//!
//! | key | value |
//! |---|---|
//! | `e` + index, big endian | entry record |
//! | `m/vote`, `m/purged`, `m/committed` | vote, log id, log id |
//! | `m/identity` | cluster id and member id, big endian |

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use parking_lot::RwLock;
use prometheus_client::metrics::histogram::Histogram;
use rocksdb::{DB, DBRecoveryMode, Direction, IteratorMode, Options, ReadOptions};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::codec::{self, DecodeError};
use super::log_cache::LogCache;
use super::log_writer::{self, Job};
use super::types::{Entry, LogId, Payload, TypeConfig, Vote};
use crate::limits::{LOG_WRITER_QUEUE, MAX_APPEND_BYTES};

pub const VOTE_KEY: &[u8] = b"m/vote";
pub const PURGED_KEY: &[u8] = b"m/purged";
pub const COMMITTED_KEY: &[u8] = b"m/committed";
const IDENTITY_KEY: &[u8] = b"m/identity";
const ENTRY_PREFIX: u8 = b'e';

/// RocksDB's write buffer for the log. A purge usually comes before it is full, so that most entries are written
/// once, to the write-ahead file, and never to a table.
const WRITE_BUFFER_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the raft log does not open")]
    Open(#[source] rocksdb::Error),
    #[error("the raft log does not read")]
    Read(#[source] rocksdb::Error),
    #[error("the raft log is corrupt at {what}")]
    Corrupt { what: String, source: DecodeError },
    #[error("the raft log has a hole: {have} follows {want_after}")]
    Hole { want_after: u64, have: u64 },
    #[error("the data directory belongs to member {found:x?} and not to {want:x?} (cluster id, member id)")]
    ForeignIdentity { found: (u64, u64), want: (u64, u64) },
    #[error("the thread that writes the raft log does not start")]
    Thread(#[source] io::Error),
}

/// What the reader side and the writer thread share.
pub struct Shared {
    pub db: DB,
    pub cache: RwLock<LogCache>,
    pub fsync_seconds: Histogram,
    vote: RwLock<Option<Vote>>,
    purged: RwLock<Option<LogId>>,
    /// Dropped after the database: who waits for its tracker knows that the database is closed.
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

pub fn entry_key(index: u64) -> [u8; 9] {
    let mut key = [ENTRY_PREFIX; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

impl LogStore {
    /// Opens the log, checks that it belongs to (cluster id, member id), and starts its writer thread.
    pub fn open(
        path: &Path,
        identity: (u64, u64),
        fsync_seconds: Histogram,
        open: Option<TaskTrackerToken>,
    ) -> Result<LogStore, OpenError> {
        let db = DB::open(&options(), path).map_err(OpenError::Open)?;
        check_identity(&db, identity)?;
        let vote = read_meta(&db, VOTE_KEY, codec::decode_vote)?;
        let purged = read_meta(&db, PURGED_KEY, codec::decode_log_id)?;
        let committed = read_meta(&db, COMMITTED_KEY, codec::decode_log_id)?;
        let cache = RwLock::new(load_tail(&db)?);
        let shared = Arc::new(Shared {
            db,
            cache,
            fsync_seconds,
            vote: RwLock::new(vote),
            purged: RwLock::new(purged),
            _open: open,
        });
        let (jobs, receiver) = mpsc::channel(LOG_WRITER_QUEUE);
        let writer = shared.clone();
        std::thread::Builder::new()
            .name("raft-log".into())
            .spawn(move || log_writer::run(writer, receiver))
            .map_err(OpenError::Thread)?;
        Ok(LogStore { shared, jobs, committed })
    }

    /// True when nothing was ever written: the member joins or forms a cluster for the first time.
    pub fn is_pristine(&self) -> bool {
        let nothing_purged = self.shared.purged.read().is_none();
        nothing_purged && self.shared.vote.read().is_none() && self.shared.cache.read().last().is_none()
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
        let shared = self.shared.clone();
        let older = range.start..range.end.min(from);
        let mut entries = tokio::task::spawn_blocking(move || read_entries(&shared.db, older, max_bytes))
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

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    // A torn record at the very end was never acknowledged; a broken one before it was, and must be an error.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options
}

fn check_identity(db: &DB, want: (u64, u64)) -> Result<(), OpenError> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&want.0.to_be_bytes());
    bytes[8..].copy_from_slice(&want.1.to_be_bytes());
    match db.get(IDENTITY_KEY).map_err(OpenError::Read)? {
        None => db.put(IDENTITY_KEY, bytes).map_err(OpenError::Read),
        Some(found) if found == bytes => Ok(()),
        Some(found) => {
            let part = |from: usize| {
                found.get(from..from + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_be_bytes)
            };
            Err(OpenError::ForeignIdentity { found: (part(0), part(8)), want })
        }
    }
}

fn read_meta<T>(
    db: &DB,
    key: &[u8],
    decode: impl Fn(&Bytes) -> Result<T, DecodeError>,
) -> Result<Option<T>, OpenError> {
    let Some(bytes) = db.get(key).map_err(OpenError::Read)? else { return Ok(None) };
    let value = decode(&bytes.into())
        .map_err(|source| OpenError::Corrupt { what: String::from_utf8_lossy(key).into_owned(), source })?;
    Ok(Some(value))
}

/// The last entry alone: it tells where the log ends, and the cache grows from there.
fn load_tail(db: &DB) -> Result<LogCache, OpenError> {
    let mut cache = LogCache::default();
    let mode = IteratorMode::From(&entry_key(u64::MAX), Direction::Reverse);
    if let Some(item) = db.iterator_opt(mode, entry_bounds(0..u64::MAX)).next() {
        let (key, value) = item.map_err(OpenError::Read)?;
        cache.push(decode(&key, value)?);
    }
    Ok(cache)
}

fn refill_if_empty(shared: &Shared) -> Result<(), OpenError> {
    let mut cache = shared.cache.write();
    if cache.last().is_none() {
        *cache = load_tail(&shared.db)?;
    }
    Ok(())
}

fn entry_bounds(range: Range<u64>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(entry_key(range.start).to_vec());
    options.set_iterate_upper_bound(entry_key(range.end).to_vec());
    options
}

fn read_entries(db: &DB, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, OpenError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    for item in db.iterator_opt(IteratorMode::Start, entry_bounds(range)) {
        let (key, value) = item.map_err(OpenError::Read)?;
        bytes += value.len();
        let entry = decode(&key, value)?;
        if let Some(last) = entries.last() {
            let (want_after, have) = (last.log_id.index, entry.index());
            if have != want_after + 1 {
                return Err(OpenError::Hole { want_after, have });
            }
        }
        entries.push(entry);
        if bytes > max_bytes {
            break;
        }
    }
    Ok(entries)
}

fn decode(key: &[u8], value: Box<[u8]>) -> Result<Entry, OpenError> {
    codec::decode_entry(&Bytes::from(value))
        .map_err(|source| OpenError::Corrupt { what: format!("entry {key:02x?}"), source })
}
