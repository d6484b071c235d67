//! Reads at one revision: of the live keys through the index, of the past through a scan of `kv`.
//!
//! The same code serves readers (a published [`Version`]) and the writer, whose newest records are still in the batch:
//! they come in as `pending` and are laid over what the backend holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;

use super::codec::{self, Kind, Record};
use super::limits::{COUNT_REPLAY_CHANGES, STEPS_BEFORE_SEEK};
use super::{Index, KeyRange, Live, Mvcc, Version, key_value};
use crate::backend::{Backend, BackendError, Column, Cursor, View};
use crate::error::Error;
use crate::revision::Revision;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Client(#[from] Error),
    /// A record that the version needs was superseded and compacted meanwhile: read again on a newer version.
    #[error("a record was compacted during the read")]
    Vanished,
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Records that are written but not yet in the backend, by `kv` key.
pub type Pending = BTreeMap<Bytes, Bytes>;

/// Everything a read needs, borrowed.
pub struct Reader<'a> {
    pub backend: &'a dyn Backend,
    pub index: &'a Index,
    /// The revision of the index: "now" for this reader.
    pub revision: i64,
    pub compact_revision: i64,
    pub pending: Option<&'a Pending>,
    /// Where to see compactions that were published after this reader was made. The writer needs none: it is the one
    /// who publishes them.
    pub live: Option<&'a Mvcc>,
}

impl<'a> Reader<'a> {
    pub fn of(version: &'a Version, live: Option<&'a Mvcc>) -> Self {
        Self {
            backend: &*version.backend,
            index: &version.index,
            revision: version.revision,
            compact_revision: version.compact_revision,
            pending: None,
            live,
        }
    }

    /// The revision that a request means, or why it cannot be read.
    pub fn resolve(&self, requested: i64) -> Result<i64, Error> {
        match requested {
            ..=0 => Ok(self.revision),
            _ if requested > self.revision => Err(Error::FutureRev),
            _ if requested < self.compact_revision => Err(Error::Compacted),
            _ => Ok(requested),
        }
    }

    /// The same for a range of a transaction: there stock etcd takes 0 alone for the current revision, and a negative one
    /// is as far back as any.
    pub fn resolve_in_txn(&self, requested: i64) -> Result<i64, Error> {
        if requested < 0 && requested < self.compact_revision {
            return Err(Error::Compacted);
        }
        self.resolve(requested)
    }

    /// A live key with its value.
    pub fn live(&self, key: &[u8]) -> Result<Option<KeyValue>, ReadError> {
        let Some(live) = self.index.get(key) else { return Ok(None) };
        let value = self.value(key, live)?;
        Ok(Some(key_value(Bytes::copy_from_slice(key), live.modified, live.meta(), value)))
    }

    fn value(&self, key: &[u8], live: &Live) -> Result<Bytes, ReadError> {
        let at = codec::kv_key(key, live.modified);
        let bytes = match self.pending.and_then(|pending| pending.get(&at[..])) {
            Some(bytes) => Some(bytes.clone()),
            None => self.backend.get(Column::Kv, &at)?,
        };
        let record = decode(Column::Kv, &at, bytes.ok_or(ReadError::Vanished)?)?;
        Ok(record.payload)
    }

    /// The version of a key that was live at `revision`, which must be a readable one.
    pub fn value_at(&self, key: &[u8], revision: i64) -> Result<Option<KeyValue>, ReadError> {
        let range = KeyRange::new(key, b"");
        Ok(self.rows(&range, revision, 1, true)?.pop())
    }

    /// The keys of the range that were live at `revision`, in key order; at most `limit` unless it is 0. Without
    /// `want_values` values may be left empty.
    pub fn rows(
        &self,
        range: &KeyRange,
        revision: i64,
        limit: usize,
        want_values: bool,
    ) -> Result<Vec<KeyValue>, ReadError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        if revision != self.revision {
            return self.past_rows(range, revision, limit);
        }
        if range.is_single() {
            return Ok(match self.index.get(range.start()) {
                Some(live) if !want_values => vec![bare(range.start(), live)],
                _ => self.live(range.start())?.into_iter().collect(),
            });
        }
        let keys = self.index.range(range, limit);
        if !want_values {
            return Ok(keys.iter().map(|(key, live)| bare(key, live)).collect());
        }
        self.live_rows(&keys)
    }

    /// How many keys of the range were live at `revision`.
    pub fn count(&self, range: &KeyRange, revision: i64) -> Result<usize, ReadError> {
        if revision == self.revision || range.is_empty() {
            return Ok(if range.is_empty() { 0 } else { self.index.count(range) });
        }
        if self.pending.is_none() && self.revision - revision <= COUNT_REPLAY_CHANGES {
            return self.count_by_replay(range, revision);
        }
        Ok(self.past_rows(range, revision, 0)?.len())
    }

    /// Values of live keys by one forward walk: the index says where each record is, the cursor steps or seeks there.
    fn live_rows(&self, keys: &[(Arc<[u8]>, Live)]) -> Result<Vec<KeyValue>, ReadError> {
        let Some((first, _)) = keys.first() else { return Ok(Vec::new()) };
        let lower = codec::kv_lower_bound(first);
        self.viewing(|view| {
            let mut cursor = view.cursor(Column::Kv, &lower, &[]);
            cursor.seek(&lower)?;
            let mut rows = Vec::with_capacity(keys.len());
            for (key, live) in keys {
                let at = codec::kv_key(key, live.modified);
                let record = match self.pending.and_then(|pending| pending.get(&at[..])) {
                    Some(bytes) => decode(Column::Kv, &at, bytes.clone())?,
                    None => {
                        let bytes = take_at(&mut *cursor, &at, Bytes::copy_from_slice)?;
                        decode(Column::Kv, &at, bytes.ok_or(ReadError::Vanished)?)?
                    }
                };
                rows.push(key_value(Bytes::copy_from_slice(key), live.modified, record.meta, record.payload));
            }
            Ok(rows)
        })
    }

    fn past_rows(&self, range: &KeyRange, revision: i64, limit: usize) -> Result<Vec<KeyValue>, ReadError> {
        let rows = self.viewing(|view| {
            // Records go only after their compact revision is published, so what is readable now is whole in `view`.
            if self.live.is_some_and(|mvcc| mvcc.compact_revision() > revision) {
                return Err(Error::Compacted.into());
            }
            let limit = if self.pending.is_some() { 0 } else { limit };
            scan_at(view, range, revision, Bound { rows: limit, bytes: usize::MAX })
        })?;
        Ok(match self.pending {
            Some(pending) => overlay(rows, pending, range, revision, limit)?,
            None => rows,
        })
    }

    /// Now minus what has changed since: a change of version 1 made a key that was not there, a delete took one away.
    fn count_by_replay(&self, range: &KeyRange, revision: i64) -> Result<usize, ReadError> {
        let lower = codec::log_key(Revision::new(revision + 1, 0));
        let upper = codec::log_key(Revision::new(self.revision + 1, 0));
        let first_changes = self.viewing(|view| {
            if self.live.is_some_and(|mvcc| mvcc.compact_revision() > revision) {
                return Err(Error::Compacted.into());
            }
            let mut first_changes: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
            let mut cursor = view.cursor(Column::Log, &lower, &upper);
            cursor.seek(&lower)?;
            while let Some((at, bytes)) = cursor.item() {
                let (meta, key) = log_record(at, bytes)?;
                if range.contains(key) {
                    first_changes
                        .entry(key.to_vec())
                        .or_insert(meta.kind == Kind::Delete || meta.version > 1);
                }
                cursor.next()?;
            }
            Ok(first_changes)
        })?;
        let mut count = self.index.count(range);
        for (key, was_live) in &first_changes {
            count = count + usize::from(*was_live) - usize::from(self.index.get(key).is_some());
        }
        Ok(count)
    }

    pub(super) fn viewing<T>(
        &self,
        read: impl Fn(&dyn View) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut outcome = None;
        self.backend.view(&mut |view| outcome = Some(read(view)))?;
        outcome.expect("a backend calls the reader exactly once")
    }
}

fn bare(key: &[u8], live: &Live) -> KeyValue {
    key_value(Bytes::copy_from_slice(key), live.modified, live.meta(), Bytes::new())
}

/// What `take` makes of the record at exactly `at`, reached from a position before it.
pub(super) fn take_at<T>(
    cursor: &mut dyn Cursor,
    at: &[u8],
    take: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>, BackendError> {
    for _ in 0..STEPS_BEFORE_SEEK {
        match cursor.item() {
            Some((key, _)) if key < at => cursor.next()?,
            _ => break,
        }
    }
    if cursor.item().is_some_and(|(key, _)| key < at) {
        cursor.seek(at)?;
    }
    Ok(cursor.item().filter(|(key, _)| *key == at).map(|(_, bytes)| take(bytes)))
}

/// Where a walk ends before the range does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// 0: none.
    pub rows: usize,
    /// Of keys and values; the row that reaches it is the last.
    pub bytes: usize,
}

/// One walk over the versions of the range: of each key the newest at or before `revision`, unless it is a delete.
pub(super) fn scan_at(
    view: &dyn View,
    range: &KeyRange,
    revision: i64,
    bound: Bound,
) -> Result<Vec<KeyValue>, ReadError> {
    let lower = codec::kv_lower_bound(range.start());
    let upper = range.end_bound().map(|end| codec::kv_lower_bound(&end)).unwrap_or_default();
    let mut cursor = view.cursor(Column::Kv, &lower, &upper);
    cursor.seek(&lower)?;
    let (mut rows, mut row_bytes) = (Vec::new(), 0);
    while let Some((at, bytes)) = cursor.item() {
        let (prefix, modified) = codec::split_kv_revision(at).ok_or_else(|| corrupt(Column::Kv, at))?;
        let prefix = prefix.to_vec();
        if modified.main > revision {
            let mut newest_allowed = prefix.clone();
            newest_allowed.extend_from_slice(&(!revision).to_be_bytes());
            advance(&mut *cursor, &newest_allowed)?;
            continue;
        }
        let record = decode(Column::Kv, at, Bytes::copy_from_slice(bytes))?;
        if record.meta.kind == Kind::Put {
            let (key, modified) = codec::parse_kv_key(at).ok_or_else(|| corrupt(Column::Kv, at))?;
            row_bytes += key.len() + record.payload.len();
            rows.push(key_value(key.into(), modified, record.meta, record.payload));
            if rows.len() == bound.rows || row_bytes >= bound.bytes {
                break;
            }
        }
        let mut past_key = prefix;
        past_key.extend_from_slice(&[0xff; 13]);
        advance(&mut *cursor, &past_key)?;
    }
    Ok(rows)
}

/// To the first key at or after `target`, by steps while it is near.
fn advance(cursor: &mut dyn Cursor, target: &[u8]) -> Result<(), BackendError> {
    for _ in 0..STEPS_BEFORE_SEEK {
        cursor.next()?;
        if cursor.item().is_none_or(|(key, _)| key >= target) {
            return Ok(());
        }
    }
    cursor.seek(target)
}

/// Lays the writer's own newer records over what the backend held.
fn overlay(
    rows: Vec<KeyValue>,
    pending: &Pending,
    range: &KeyRange,
    revision: i64,
    limit: usize,
) -> Result<Vec<KeyValue>, ReadError> {
    let mut merged: BTreeMap<Bytes, Option<KeyValue>> =
        rows.into_iter().map(|row| (row.key.clone(), Some(row))).collect();
    let mut seen = None;
    for (at, bytes) in pending.range(Bytes::from(codec::kv_lower_bound(range.start()))..) {
        let (key, modified) = codec::parse_kv_key(at).ok_or_else(|| corrupt(Column::Kv, at))?;
        if !range.contains(&key) {
            break;
        }
        if modified.main > revision || seen.as_ref() == Some(&key) {
            continue;
        }
        let record = decode(Column::Kv, at, bytes.clone())?;
        let row = (record.meta.kind == Kind::Put)
            .then(|| key_value(Bytes::copy_from_slice(&key), modified, record.meta, record.payload));
        merged.insert(Bytes::copy_from_slice(&key), row);
        seen = Some(key);
    }
    let rows = merged.into_values().flatten();
    Ok(if limit == 0 { rows.collect() } else { rows.take(limit).collect() })
}

pub(crate) fn log_record<'a>(at: &[u8], bytes: &'a [u8]) -> Result<(codec::Meta, &'a [u8]), BackendError> {
    let meta = Record::decode_meta(bytes).ok_or_else(|| corrupt(Column::Log, at))?;
    Ok((meta, Record::payload(bytes).ok_or_else(|| corrupt(Column::Log, at))?))
}

pub(crate) fn decode(column: Column, at: &[u8], bytes: Bytes) -> Result<Record, BackendError> {
    Record::decode(bytes).ok_or_else(|| corrupt(column, at))
}

pub(crate) fn corrupt(column: Column, at: &[u8]) -> BackendError {
    BackendError::Corrupt { column: column.name(), key: at.escape_ascii().to_string() }
}
