//! Compaction: removes, in the background, the versions that no read at or after the compact revision can see.
//!
//! `Compact(R)` itself is one small write (`compact_scheduled = R`, published at once: reads below R fail from then on).
//! The removal follows in bounded steps. It walks `log` from the last finished compaction to R: whoever was superseded
//! since has the superseding change in that window. For each key found there, the newest version at or before R stays
//! unless it is a delete *before* R; all older ones go, with their `log` records.
//! ```text
//! a: put 2, put 4, del 6, put 8      compact 6: 2 and 4 go, the delete at exactly 6 stays (a watch from 6 needs it)
//!                                    compact 7: 2, 4 and 6 go
//! ```
//! After a crash the removal starts over from `compact_finished`; a second pass over a window finds less to do.
//! Apply never depends on how far the removal is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Mvcc;
use super::codec::{self, Kind, Record};
use super::counts::Counts;
use super::hash::{KvHash, hash_for_compaction};
use super::limits::{COMPACTION_PAUSE, COMPACTION_STEP_RECORDS};
use super::load::COMPACT_FINISHED;
use super::read::{corrupt, log_record};
use crate::backend::{Backend, BackendError, Column, View, WriteBatch};
use crate::failpoint::{self, Point};
use crate::host::{self, Thread};
use crate::revision::Revision;

/// One removal under way.
#[derive(Debug, Clone)]
pub struct Compaction {
    /// What may go: everything no read at or after this can see.
    target: i64,
    /// The next `log` record to look at.
    next: Revision,
    /// Versions that went so far.
    removed: u64,
}

impl Compaction {
    /// From the last finished compaction (the delete kept at exactly that revision goes now) to `target`.
    pub fn new(finished: i64, target: i64) -> Self {
        Self { target, next: Revision::new(finished.max(0), 0), removed: 0 }
    }

    /// Does one bounded piece of work; true when there is no more.
    pub fn step(&mut self, backend: &dyn Backend) -> Result<bool, BackendError> {
        let mut batch = WriteBatch::default();
        let mut removed = 0;
        let done = backend.read(|view| {
            (batch, removed) = (WriteBatch::default(), 0);
            self.gather(view, &mut batch, &mut removed)
        })?;
        self.removed += removed;
        if let Some(next) = done {
            self.next = next;
        } else {
            batch.put(Column::Meta, COMPACT_FINISHED, codec::i64_value(self.target));
        }
        if !batch.is_empty() {
            backend.write(&batch)?;
        }
        Ok(done.is_none())
    }

    /// Collects the deletes of one window of the log; `None` when the window reaches the target.
    fn gather(
        &self,
        view: &dyn View,
        batch: &mut WriteBatch,
        removed: &mut u64,
    ) -> Result<Option<Revision>, BackendError> {
        let lower = codec::log_key(self.next);
        let upper = codec::log_key(Revision::new(self.target + 1, 0));
        let mut cursor = view.cursor(Column::Log, &lower, &upper);
        cursor.seek(&lower)?;
        let mut keys = std::collections::BTreeSet::new();
        let mut looked_at = 0;
        let mut next = None;
        while let Some((at, bytes)) = cursor.item() {
            if looked_at == COMPACTION_STEP_RECORDS {
                next = Some(codec::parse_log_key(at).ok_or_else(|| corrupt(Column::Log, at))?);
                break;
            }
            let (meta, key) = log_record(at, bytes)?;
            // A key that was made anew supersedes nothing: its delete before, if there was one, has a record of its own.
            if meta.kind == Kind::Delete || meta.version > 1 {
                keys.insert(key.to_vec());
            }
            looked_at += 1;
            cursor.next()?;
        }
        for key in &keys {
            *removed += self.remove_superseded(view, key, batch)?;
        }
        let upto = next.map_or(self.target, |next| next.main);
        super::times::forget(view, upto, self.target, batch)?;
        Ok(next)
    }

    /// How many versions go.
    fn remove_superseded(
        &self,
        view: &dyn View,
        key: &[u8],
        batch: &mut WriteBatch,
    ) -> Result<u64, BackendError> {
        let newest_allowed = codec::kv_key(key, Revision::last_of(self.target));
        let mut past_key = codec::kv_prefix(key);
        past_key.extend_from_slice(&[0xff; 13]);
        let mut cursor = view.cursor(Column::Kv, &newest_allowed, &past_key);
        cursor.seek(&newest_allowed)?;
        let (mut newest, mut removed) = (true, 0);
        while let Some((at, bytes)) = cursor.item() {
            let (_, revision) = codec::split_kv_revision(at).ok_or_else(|| corrupt(Column::Kv, at))?;
            let meta = Record::decode_meta(bytes).ok_or_else(|| corrupt(Column::Kv, at))?;
            let stays = newest && (meta.kind == Kind::Put || revision.main == self.target);
            if !stays {
                batch.delete(Column::Kv, at.to_vec());
                batch.delete(Column::Log, codec::log_key(revision));
                removed += 1;
            }
            newest = false;
            cursor.next()?;
        }
        Ok(removed)
    }
}

/// What the removal thread works on.
#[derive(Debug, Clone)]
pub struct Job {
    pub backend: Arc<dyn Backend>,
    pub finished: i64,
    pub target: i64,
    /// Nothing of it has been removed yet: the history before it can still be hashed.
    pub fresh: bool,
}

/// The removal thread. Dropping this stops it after the step at hand and waits for that, so that whoever opens the same
/// state next finds it closed.
#[derive(Debug)]
pub struct Remover {
    /// `None` only while this is dropped: the thread ends when nobody can send.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    stop: Arc<AtomicBool>,
    thread: Option<Thread>,
}

impl Remover {
    pub fn spawn(mvcc: Mvcc) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = host::spawn_thread("compaction", run(mvcc, inbox, stopped))?;
        Ok(Self { jobs: Some(jobs), stop, thread: Some(thread) })
    }

    pub fn start(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only on a broken disk, which it has reported; the next start resumes the removal.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

async fn run(mvcc: Mvcc, mut inbox: mpsc::UnboundedReceiver<Job>, stop: Arc<AtomicBool>) {
    while let Some(job) = inbox.recv().await {
        if job.fresh && mvcc.compaction_hashes().are_kept() {
            keep_hash(&mvcc, &job);
        }
        match remove(&job, mvcc.counts(), &stop).await {
            Ok(true) => mvcc.compaction_done(job.target),
            Ok(false) => return,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    revision = job.target,
                    "compaction stopped"
                );
                return;
            }
        }
    }
}

/// A hash that cannot be taken is not kept; the removal will report the broken disk.
fn keep_hash(mvcc: &Mvcc, job: &Job) {
    let hashed = job.backend.read(|view| hash_for_compaction(view, job.target, job.finished));
    if let Ok(hash) = hashed {
        let (revision, compact_revision) = (job.target, job.finished);
        let current_revision = mvcc.revision();
        mvcc.compaction_hashes().store(KvHash { hash, revision, compact_revision, current_revision });
    }
}

/// False if it was stopped first.
async fn remove(job: &Job, counts: &Counts, stop: &AtomicBool) -> Result<bool, BackendError> {
    let started = Instant::now();
    let mut compaction = Compaction::new(job.finished, job.target);
    failpoint::pass(Point::CompactionBeforeFirstStep);
    while let Some(worked) = timed_step(&mut compaction, &*job.backend, counts)? {
        failpoint::pass(Point::CompactionAfterStep);
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        host::nap(pause(started.elapsed(), worked)).await;
    }
    failpoint::pass(Point::CompactionAfterLastStep);
    counts.compaction_ended(started.elapsed(), compaction.removed);
    tracing::info!(revision = job.target, took = ?started.elapsed(), "finished scheduled compaction");
    Ok(true)
}

/// How long it took; `None` if it was the last.
fn timed_step(
    compaction: &mut Compaction,
    backend: &dyn Backend,
    counts: &Counts,
) -> Result<Option<Duration>, BackendError> {
    let began = Instant::now();
    let done = compaction.step(backend)?;
    let worked = began.elapsed();
    counts.compaction_step_ms.observe(worked.as_secs_f64() * 1000.0);
    Ok((!done).then_some(worked))
}

/// The first steps run without a pause: a small compaction is done at once. A large one works a third of the time.
fn pause(running: Duration, worked: Duration) -> Duration {
    if running < COMPACTION_PAUSE { Duration::ZERO } else { COMPACTION_PAUSE.max(2 * worked) }
}
