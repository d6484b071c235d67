//! `HashKV`: one number for the history up to a revision, the same on every member, and on a stock etcd with the same
//! history.
//!
//! CRC-32C over the word `key` and then key and value of each change as etcd's bucket `key` has them, in order. How far
//! the removal after a compaction is must not matter, so that changes at or before the compact revision count only if
//! they are the newest put of their key at the *hashed* revision (if any key lives then); a delete at exactly the compact
//! revision never counts.
//! ```text
//! put a 2, put a 3, put b 4, compact 3, put a 5      hash at 5: b 4, a 5      hash at 4: a 3, b 4
//! ```
//! Source: etcd v3.6 `server/storage/mvcc/hash.go`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::codec::Kind;
use super::history::{self, Change};
use super::read::{Bound, ReadError};
use super::{KeyRange, Mvcc, Version};
use crate::backend::{BackendError, Column, View};
use crate::error::Error;
use crate::revision::Revision;
use crate::snapshot_file::records;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvHash {
    pub hash: u32,
    pub revision: i64,
    /// -1 if nothing was ever compacted.
    pub compact_revision: i64,
    /// The store's own at that moment.
    pub current_revision: i64,
}

/// Sums up changes in their order.
#[derive(Debug, Clone, Copy)]
pub struct Hasher {
    hash: u32,
    revision: i64,
    compact_revision: i64,
}

impl Hasher {
    pub fn new(revision: i64, compact_revision: i64) -> Self {
        let hash = crc32c::crc32c(records::KEY.as_bytes());
        Hasher { hash, revision, compact_revision }
    }

    /// Whether a change counts at all; `None`: if it is kept.
    pub fn counts(&self, at: Revision, kind: Kind) -> Option<bool> {
        if at.main > self.revision || (at.main == self.compact_revision && kind == Kind::Delete) {
            Some(false)
        } else if at.main > self.compact_revision {
            Some(true)
        } else {
            None
        }
    }

    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.hash = crc32c::crc32c_append(self.hash, key);
        self.hash = crc32c::crc32c_append(self.hash, value);
    }

    pub fn hash(&self) -> u32 {
        self.hash
    }
}

/// The hash at `revision`, with `keep` telling of changes at or before the compact revision whether they count.
pub fn hash_view(
    view: &dyn View,
    revision: i64,
    compact_revision: i64,
    keep: &dyn Fn(&Change<'_>) -> Result<bool, BackendError>,
) -> Result<u32, BackendError> {
    let mut hasher = Hasher::new(revision, compact_revision);
    history::each(view, revision, &mut |change| {
        let counts = match hasher.counts(change.at, change.meta.kind) {
            Some(counts) => counts,
            None => keep(change)?,
        };
        if counts {
            let value = change.value(view)?;
            let key = bytes::Bytes::copy_from_slice(change.key);
            let value = records::change_value(change.at, change.meta, key, value);
            hasher.add(&records::change_key(change.at, change.meta.kind), &value);
        }
        Ok::<(), BackendError>(())
    })?;
    Ok(hasher.hash())
}

/// What a compaction at `revision` leaves, before it removes anything: comparable between members at any later time.
pub fn hash_for_compaction(view: &dyn View, revision: i64, previous: i64) -> Result<u32, BackendError> {
    hash_view(view, revision, previous, &|change| kept_at(view, change, revision))
}

fn kept_at(view: &dyn View, change: &Change<'_>, revision: i64) -> Result<bool, BackendError> {
    Ok(history::newest_put(view, change.key, revision)? == Some(change.at))
}

impl Mvcc {
    /// At `revision`, or now for 0, or of nothing below that. Reads the whole history: not for async workers.
    pub fn hash_kv(&self, revision: i64) -> Result<KvHash, Error> {
        loop {
            let version = self.version();
            let Version { revision: current_revision, compact_revision, .. } = *version;
            if revision > 0 && revision < compact_revision {
                return Err(Error::Compacted);
            }
            if revision > current_revision {
                return Err(Error::FutureRev);
            }
            if revision < 0 {
                let hash = Hasher::new(revision, compact_revision).hash();
                return Ok(KvHash { hash, revision, compact_revision, current_revision });
            }
            let revision = if revision == 0 { current_revision } else { revision };
            match self.hash_version(&version, revision) {
                Ok(Some(hash)) => {
                    return Ok(KvHash { hash, revision, compact_revision, current_revision });
                }
                // A compaction came between: it may have removed what counts for this version.
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the state cannot be hashed");
                    return Err(Error::Corrupt);
                }
            }
        }
    }

    fn hash_version(&self, version: &Version, revision: i64) -> Result<Option<u32>, BackendError> {
        let mut outcome = Ok(None);
        version.backend.view(&mut |view| {
            // Records go only after their compaction is published: what is unpublished now has not begun in `view`.
            if self.compact_revision() == version.compact_revision {
                outcome = self.hash_in(view, version, revision).map(Some);
            }
        })?;
        outcome
    }

    fn hash_in(&self, view: &dyn View, version: &Version, revision: i64) -> Result<u32, BackendError> {
        let compact_revision = version.compact_revision;
        if revision == version.revision && !version.index.is_empty() {
            return hash_view(view, revision, compact_revision, &|change| {
                Ok(version.index.get(change.key).is_some_and(|live| live.modified == change.at))
            });
        }
        // Without a live key nothing is skipped but what a finished compaction would have removed.
        let until = if any_live(view, version, revision)? { revision } else { compact_revision };
        hash_view(view, revision, compact_revision, &|change| kept_at(view, change, until))
    }

    /// One number for every record of the state but for the position in the raft log, which no two members need share at
    /// the same moment.
    pub fn hash_all(&self) -> Result<u32, Error> {
        let version = self.version();
        version.backend.read(hash_columns).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the state cannot be hashed");
            Error::Corrupt
        })
    }
}

fn any_live(view: &dyn View, version: &Version, revision: i64) -> Result<bool, BackendError> {
    if revision == version.revision {
        return Ok(!version.index.is_empty());
    }
    match super::read::scan_at(view, &KeyRange::all(), revision, Bound { rows: 1, bytes: usize::MAX }) {
        Ok(rows) => Ok(!rows.is_empty()),
        Err(ReadError::Backend(error)) => Err(error),
        Err(ReadError::Client(_) | ReadError::Vanished) => {
            unreachable!("a scan of a view fails only when the view cannot be read")
        }
    }
}

fn hash_columns(view: &dyn View) -> Result<u32, BackendError> {
    let mut hash = 0;
    for column in Column::ALL {
        hash = crc32c::crc32c_append(hash, column.name().as_bytes());
        let mut cursor = view.cursor(column, &[], &[]);
        cursor.seek(&[])?;
        while let Some((key, value)) = cursor.item() {
            if column != Column::Meta || !crate::apply::applier::is_position(key) {
                hash = crc32c::crc32c_append(hash, key);
                hash = crc32c::crc32c_append(hash, value);
            }
            cursor.next()?;
        }
    }
    Ok(hash)
}

/// Keeps the hashes of the last compactions for those who compare members; none before somebody asks for them.
#[derive(Debug, Default)]
pub struct CompactionHashes {
    wanted: AtomicBool,
    newest_first: Mutex<VecDeque<KvHash>>,
}

/// etcd's number.
const COMPACTION_HASHES: usize = 10;

impl CompactionHashes {
    /// From the next compaction on.
    pub fn keep(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    pub fn are_kept(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    pub fn store(&self, hash: KvHash) {
        let mut hashes = self.newest_first.lock();
        hashes.push_front(hash);
        hashes.truncate(COMPACTION_HASHES);
    }

    pub fn newest_first(&self) -> Vec<KvHash> {
        self.newest_first.lock().iter().copied().collect()
    }

    pub fn at(&self, revision: i64) -> Option<KvHash> {
        self.newest_first.lock().iter().find(|hash| hash.revision == revision).copied()
    }
}
