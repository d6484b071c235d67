//! The one thread that writes the raft log: whatever waits goes into one synced write (group commit).
//!
//! In: jobs, in the order in which raft made them. Out: their completions, in the same order, after the sync.
//! Invariant: a completion means *on disk*; votes and entries are never reordered, since one write batch keeps the
//! order of its operations and batches follow one another.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use openraft::storage::IOFlushed;
use rocksdb::{WriteBatch, WriteOptions};
use tokio::sync::{mpsc, oneshot};

use super::codec;
use super::log_store::{COMMITTED_KEY, PURGED_KEY, Shared, VOTE_KEY, entry_key};
use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::limits::{LOG_CACHE_BYTES, LOG_CACHE_ENTRIES, MAX_LOG_WRITE_BYTES};

pub enum Job {
    Append {
        entries: Vec<Entry>,
        flushed: IOFlushed<TypeConfig>,
    },
    SaveVote {
        vote: Vote,
        done: Done,
    },
    /// Not worth a sync of its own: travels with the next write.
    SaveCommitted(LogId),
    TruncateAfter {
        last: Option<u64>,
        done: Done,
    },
    Purge {
        upto: LogId,
        done: Done,
    },
}

pub type Done = oneshot::Sender<io::Result<()>>;

enum Completion {
    Flushed(IOFlushed<TypeConfig>),
    Done(Done),
}

/// Runs until every sender of jobs is gone.
pub fn run(shared: Arc<Shared>, mut jobs: mpsc::Receiver<Job>) {
    let mut pending = Pending::default();
    while let Some(job) = jobs.blocking_recv() {
        pending.add(job);
        while pending.bytes < MAX_LOG_WRITE_BYTES
            && let Ok(job) = jobs.try_recv()
        {
            pending.add(job);
        }
        if !pending.completions.is_empty() {
            pending.write(&shared);
        }
    }
    // A clean stop keeps the committed position, so that the next start need not find it again.
    if pending.committed.is_some() {
        pending.write(&shared);
    }
}

#[derive(Default)]
struct Pending {
    batch: WriteBatch,
    bytes: usize,
    committed: Option<LogId>,
    last_appended: Option<u64>,
    completions: Vec<Completion>,
}

impl Pending {
    fn add(&mut self, job: Job) {
        match job {
            Job::Append { entries, flushed } => {
                for entry in &entries {
                    let record = codec::encode_entry(entry);
                    self.bytes += record.len();
                    self.batch.put(entry_key(entry.log_id.index), &record);
                    self.last_appended = Some(entry.log_id.index);
                }
                self.completions.push(Completion::Flushed(flushed));
            }
            Job::SaveVote { vote, done } => {
                self.batch.put(VOTE_KEY, codec::encode_vote(&vote));
                self.completions.push(Completion::Done(done));
            }
            Job::SaveCommitted(log_id) => self.committed = Some(log_id),
            Job::TruncateAfter { last, done } => {
                let first = last.map_or(0, |last| last + 1);
                self.batch.delete_range(entry_key(first), entry_key(u64::MAX));
                self.last_appended = self.last_appended.filter(|appended| *appended < first);
                self.completions.push(Completion::Done(done));
            }
            Job::Purge { upto, done } => {
                self.batch.delete_range(entry_key(0), entry_key(upto.index + 1));
                self.batch.put(PURGED_KEY, codec::encode_log_id(&upto));
                self.completions.push(Completion::Done(done));
            }
        }
    }

    fn write(&mut self, shared: &Shared) {
        let Pending { mut batch, committed, last_appended, completions, bytes: _ } = std::mem::take(self);
        if let Some(committed) = committed {
            batch.put(COMMITTED_KEY, codec::encode_log_id(&committed));
        }
        let result = write_synced(shared, &batch);
        if let (Ok(()), Some(last)) = (&result, last_appended) {
            shared.cache.write().evict(last, LOG_CACHE_ENTRIES, LOG_CACHE_BYTES);
        }
        for completion in completions {
            let result = result.as_ref().copied().map_err(|error| io::Error::other(error.to_string()));
            match completion {
                Completion::Flushed(flushed) => flushed.io_completed(result),
                // The caller may have been stopped in the meantime.
                Completion::Done(done) => drop(done.send(result)),
            }
        }
    }
}

fn write_synced(shared: &Shared, batch: &WriteBatch) -> io::Result<()> {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    let started = Instant::now();
    let result = shared.db.write_opt(batch, &options).map_err(io::Error::other);
    shared.fsync_seconds.observe(started.elapsed().as_secs_f64());
    result
}
