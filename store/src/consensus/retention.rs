//! How long the log is: when the state is to be synced, and what of the log goes then.
//!
//! raft syncs the state after a number of entries (`--snapshot-count`). Entries are batches here, of a few bytes or of
//! hundreds of kilobytes, so that a number alone bounds neither the disk nor a start, which reads the log: the state is
//! synced after [`LOG_SNAPSHOT_BYTES`] too. Behind it stay the entries that followers may still need, as many as
//! `--snapshot-catchup-entries` says and no more than [`LOG_KEEP_BYTES`].
//! Invariant: only what a synced state stands for is purged; raft checks it again.

use std::sync::Arc;

use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use super::raft::Raft;
use super::types::LogId;
use super::wal::Index;
use crate::limits::{LOG_KEEP_BYTES, LOG_SNAPSHOT_BYTES};

pub struct Retention {
    pub raft: Raft,
    pub log: Arc<RwLock<Index>>,
    pub catch_up_entries: u64,
}

/// Indexes of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Positions {
    applied: Option<u64>,
    /// Of the state that is synced.
    snapshot: Option<u64>,
    purged: Option<u64>,
}

/// What was seen and asked for last.
#[derive(Debug, Default)]
struct Memory {
    snapshot: Option<u64>,
    /// Of [`Index::appended_bytes`], when the state was synced or asked to be.
    appended_bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Snapshot,
    Purge { upto: u64 },
}

impl Retention {
    /// Until shutdown, or until raft has stopped.
    pub async fn run(self, shutdown: CancellationToken) {
        // Nothing else wakes it: raft's metrics as a whole change with every message.
        let (mut applied, mut snapshots) =
            (self.raft.watch_apply_progress(), self.raft.watch_snapshot_progress());
        let mut memory = Memory::default();
        loop {
            let seen = Positions {
                applied: index(applied.get()),
                snapshot: index(snapshots.get()),
                purged: index(self.raft.data_metrics().borrow_watched().purged),
            };
            let step = step(&mut memory, seen, &self.log, self.catch_up_entries);
            let asked = match step {
                Step::Nothing => Ok(()),
                Step::Snapshot => self.raft.trigger().snapshot().await,
                Step::Purge { upto } => self.raft.trigger().purge_log(upto).await,
            };
            if asked.is_err() {
                return;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = applied.changed() => if changed.is_err() {
                    return;
                },
                changed = snapshots.changed() => if changed.is_err() {
                    return;
                }
            }
        }
    }
}

fn index(log_id: Option<LogId>) -> Option<u64> {
    log_id.map(|log_id| log_id.index)
}

fn step(memory: &mut Memory, seen: Positions, log: &RwLock<Index>, catch_up_entries: u64) -> Step {
    let log = log.read();
    if seen.snapshot != memory.snapshot {
        *memory = Memory { snapshot: seen.snapshot, appended_bytes: log.appended_bytes() };
        return seen.snapshot.map_or(Step::Nothing, |snapshot| purge(seen, snapshot, &log, catch_up_entries));
    }
    if log.appended_bytes() - memory.appended_bytes > LOG_SNAPSHOT_BYTES && seen.applied > seen.snapshot {
        memory.appended_bytes = log.appended_bytes();
        return Step::Snapshot;
    }
    Step::Nothing
}

fn purge(seen: Positions, snapshot: u64, log: &Index, catch_up_entries: u64) -> Step {
    let beyond = snapshot.checked_sub(catch_up_entries).max(log.newest_beyond(LOG_KEEP_BYTES));
    match beyond.map(|index| index.min(snapshot)) {
        Some(upto) if Some(upto) > seen.purged => Step::Purge { upto },
        Some(_) | None => Step::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::super::wal::record::Effect;
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Entries from 0 on, by their sizes.
    fn log(sizes: &[u64]) -> RwLock<Index> {
        let mut index = Index::default();
        for (at, size) in sizes.iter().enumerate() {
            let entry = Effect::Entry { index: at as u64, at: 0..*size as usize };
            index.apply(&entry, 1, 0).unwrap();
        }
        RwLock::new(index)
    }

    fn at(applied: u64, snapshot: Option<u64>, purged: Option<u64>) -> Positions {
        Positions { applied: Some(applied), snapshot, purged }
    }

    #[test]
    fn many_bytes_ask_for_a_snapshot_once() {
        let log = log(&[32 * MIB, 32 * MIB, MIB]);
        let mut memory = Memory::default();
        assert_eq!(step(&mut memory, at(2, None, None), &log, 5), Step::Snapshot);
        assert_eq!(step(&mut memory, at(2, None, None), &log, 5), Step::Nothing, "it is under way");
        let nothing_new = at(2, Some(2), None);
        assert_eq!(step(&mut Memory { snapshot: Some(2), ..memory }, nothing_new, &log, 5), Step::Nothing);
    }

    #[test]
    fn few_bytes_are_left_to_the_count_of_entries() {
        let log = log(&[32 * MIB, 32 * MIB]);
        assert_eq!(step(&mut Memory::default(), at(1, None, None), &log, 5), Step::Nothing);
    }

    #[test]
    fn what_goes_behind_a_snapshot() {
        let small = vec![1; 100];
        let large = vec![10 * MIB; 10];
        for (sizes, snapshot, purged, catch_up, want) in [
            (&small, 99, None, 30, Step::Purge { upto: 69 }),
            (&small, 20, None, 30, Step::Nothing),
            (&small, 99, Some(69), 30, Step::Nothing),
            // 6 entries of 10 MiB are kept, whatever their number may be.
            (&large, 9, None, 30, Step::Purge { upto: 3 }),
            (&large, 9, None, 2, Step::Purge { upto: 7 }),
            // Never beyond what the state stands for.
            (&large, 1, None, 30, Step::Purge { upto: 1 }),
        ] {
            let log = log(sizes);
            let seen = at(sizes.len() as u64 - 1, Some(snapshot), purged);
            assert_eq!(step(&mut Memory::default(), seen, &log, catch_up), want, "{seen:?}, {catch_up}");
        }
    }
}
