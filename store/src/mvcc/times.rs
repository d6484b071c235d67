//! When revisions were made, by the clock of the leader that proposed them.
//!
//! A record `time/REVISION` in `meta` holds milliseconds since 1970, and is written only where the time is not that of the
//! revision before: a revision's time is that of the last record at or before it. Times need not rise: leaders have clocks of
//! their own. The record is part of the entry's batch, so all members hold the same.

use crate::backend::{Backend, BackendError, Column, View, WriteBatch};

use super::codec;
use super::prefix_end;
use super::read::corrupt;

const PREFIX: &[u8] = b"time/";

/// A revision was made, and it has not the time of the one before.
pub fn record(batch: &mut WriteBatch, revision: i64, unix_ms: i64) {
    batch.put(Column::Meta, key(revision), codec::i64_value(unix_ms));
}

/// The time of a revision; `None` if no record is at or before it.
pub fn time_of(backend: &dyn Backend, revision: i64) -> Result<Option<i64>, BackendError> {
    backend.read(|view| Ok(record_at(view, revision)?.map(|(_, unix_ms)| unix_ms)))
}

/// The time of the last record of all.
pub fn last(view: &dyn View) -> Result<Option<i64>, BackendError> {
    Ok(record_at(view, i64::MAX)?.map(|(_, unix_ms)| unix_ms))
}

/// Removes records before `upto` that no revision from `target` on has its time from.
pub fn forget(view: &dyn View, upto: i64, target: i64, batch: &mut WriteBatch) -> Result<(), BackendError> {
    let Some((kept, _)) = record_at(view, target)? else { return Ok(()) };
    let mut cursor = view.cursor(Column::Meta, PREFIX, &key(upto.min(kept)));
    cursor.seek(PREFIX)?;
    while let Some((at, _)) = cursor.item() {
        batch.delete(Column::Meta, at.to_vec());
        cursor.next()?;
    }
    Ok(())
}

fn record_at(view: &dyn View, revision: i64) -> Result<Option<(i64, i64)>, BackendError> {
    let mut cursor = view.cursor(Column::Meta, PREFIX, &prefix_end(PREFIX));
    cursor.seek_for_prev(&key(revision))?;
    let Some((at, bytes)) = cursor.item() else { return Ok(None) };
    let found = at.strip_prefix(PREFIX).and_then(|number| number.try_into().ok()).map(i64::from_be_bytes);
    let (Some(found), Some(unix_ms)) = (found, codec::parse_i64(bytes)) else {
        return Err(corrupt(Column::Meta, at));
    };
    Ok(Some((found, unix_ms)))
}

/// Big-endian, so that records stand in the order of revisions, which are never negative.
fn key(revision: i64) -> Vec<u8> {
    [PREFIX, &revision.max(0).to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;

    #[test]
    fn a_revision_has_the_time_of_the_last_record_before_it() {
        let backend = MemoryBackend::default();
        let mut batch = WriteBatch::default();
        for (revision, unix_ms) in [(2, 100), (5, 200), (9, 150)] {
            record(&mut batch, revision, unix_ms);
        }
        backend.write(&batch).unwrap();
        let times = |backend: &MemoryBackend| [1, 2, 4, 5, 8, 9, 99].map(|r| time_of(backend, r).unwrap());
        assert_eq!(times(&backend), [None, Some(100), Some(100), Some(200), Some(200), Some(150), Some(150)]);

        let mut batch = WriteBatch::default();
        (&backend as &dyn Backend).read(|view| forget(view, 8, 7, &mut batch)).unwrap();
        backend.write(&batch).unwrap();
        assert_eq!(times(&backend), [None, None, None, Some(200), Some(200), Some(150), Some(150)]);
    }
}
