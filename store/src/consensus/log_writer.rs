//! The one thread that writes the raft log: whatever waits goes into one synced frame (group commit).
//!
//! In: jobs, in the order in which raft made them. Out: their completions, in the same order, after the sync.
//! Invariant: a completion means *on disk*; votes and entries are never reordered, since a frame keeps the order of its
//! records and frames follow one another.

use std::io;
use std::sync::Arc;

use openraft::storage::IOFlushed;
use tokio::sync::{mpsc, oneshot};

use super::log_store::Shared;
use super::types::{Entry, LogId, TypeConfig, Vote};
use super::wal::Wal;
use super::wal::record::Records;
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

/// Runs until every sender of jobs is gone. The log is closed before `shared` tells so (parameters drop backwards).
pub async fn run(shared: Arc<Shared>, mut wal: Wal, mut jobs: mpsc::Receiver<Job>) {
    let mut pending = Pending::default();
    while let Some(job) = jobs.recv().await {
        pending.add(job);
        while pending.records.frame_bytes() < MAX_LOG_WRITE_BYTES
            && let Ok(job) = jobs.try_recv()
        {
            pending.add(job);
        }
        if !pending.completions.is_empty() {
            pending.write(&mut wal, &shared).await;
        }
    }
    // A clean stop keeps the committed position, so that the next start need not find it again.
    if pending.committed.is_some() {
        pending.write(&mut wal, &shared).await;
    }
}

#[derive(Default)]
struct Pending {
    records: Records,
    committed: Option<LogId>,
    last_appended: Option<u64>,
    completions: Vec<Completion>,
}

impl Pending {
    fn add(&mut self, job: Job) {
        match job {
            Job::Append { entries, flushed } => {
                for entry in &entries {
                    self.records.entry(entry);
                    self.last_appended = Some(entry.log_id.index);
                }
                self.completions.push(Completion::Flushed(flushed));
            }
            Job::SaveVote { vote, done } => {
                self.records.vote(&vote);
                self.completions.push(Completion::Done(done));
            }
            Job::SaveCommitted(log_id) => self.committed = Some(log_id),
            Job::TruncateAfter { last, done } => {
                let first = last.map_or(0, |last| last + 1);
                self.records.truncate_from(first);
                self.last_appended = self.last_appended.filter(|appended| *appended < first);
                self.completions.push(Completion::Done(done));
            }
            Job::Purge { upto, done } => {
                self.records.purge(&upto);
                self.completions.push(Completion::Done(done));
            }
        }
    }

    async fn write(&mut self, wal: &mut Wal, shared: &Shared) {
        let Pending { mut records, committed, last_appended, completions } = std::mem::take(self);
        if let Some(committed) = &committed {
            records.committed(committed);
        }
        let writing = shared.clock.begin();
        let result = match wal.write(records) {
            Ok(()) => wal.settle().await,
            failed => failed,
        };
        drop(writing);
        if let Err(error) = &result {
            tracing::error!(%error, "the raft log cannot be written");
        }
        for completion in completions {
            let result = result.as_ref().copied().map_err(|error| io::Error::other(error.to_string()));
            match completion {
                Completion::Flushed(flushed) => flushed.io_completed(result),
                // The caller may have been stopped in the meantime.
                Completion::Done(done) => drop(done.send(result)),
            }
        }
        if let (Ok(()), Some(last)) = (&result, last_appended) {
            shared.cache.write().evict(last, LOG_CACHE_ENTRIES, LOG_CACHE_BYTES);
        }
    }
}
