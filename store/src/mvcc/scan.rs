//! A long range, read piece by piece at one revision: what is in memory is one piece.
//!
//! Between two pieces nothing is held, so that a slow reader keeps no file of the backend alive. A compaction past the
//! revision may come between; the next piece then fails with `Compacted`, as a page of a paginated list would.

use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;

use super::key_range::{KeyRange, successor};
use super::read::{Bound, ReadError, scan_at};
use super::{Mvcc, Reader};
use crate::backend::BackendError;
use crate::error::Error;

#[derive(Debug)]
pub struct Scan {
    mvcc: Mvcc,
    /// What is left of the range.
    rest: KeyRange,
    range_end: Bytes,
    revision: i64,
    store_revision: i64,
}

#[derive(Debug)]
pub struct Piece {
    /// In key order.
    pub rows: Vec<KeyValue>,
    /// False: these are the last rows. True: there may be others behind them.
    pub perhaps_more: bool,
}

impl Scan {
    /// At `revision`, or at the store's own for 0, which stays what it is now.
    pub fn new(mvcc: Mvcc, key: Bytes, range_end: Bytes, revision: i64) -> Result<Scan, Error> {
        mvcc.shared.counts.ranges.add(1);
        let version = mvcc.version();
        let (revision, store_revision) = (Reader::of(&version, None).resolve(revision)?, version.revision);
        let rest = KeyRange::from_bytes(key, range_end.clone());
        Ok(Scan { mvcc, rest, range_end, revision, store_revision })
    }

    /// The store's own revision when the scan began.
    pub fn store_revision(&self) -> i64 {
        self.store_revision
    }

    /// Up to `limit` rows, fewer if they come to `max_bytes`. Blocks on the disk.
    pub fn next(&mut self, limit: usize, max_bytes: usize) -> Result<Piece, Error> {
        let mut rows = self.read(Bound { rows: limit.saturating_add(1), bytes: max_bytes })?;
        let cut_by_bytes = rows.len() <= limit && rows.iter().map(weight).sum::<usize>() >= max_bytes;
        let over = rows.len() > limit;
        rows.truncate(limit);
        if let Some(last) = rows.last() {
            let next = Bytes::from(successor(&last.key));
            self.rest = if self.rest.is_single() { nothing() } else { self.from(next) };
        }
        Ok(Piece { rows, perhaps_more: over || cut_by_bytes })
    }

    /// How many rows are left.
    pub fn remaining(&self) -> Result<usize, Error> {
        self.mvcc.consistent(|reader| {
            if reader.compact_revision > self.revision {
                return Err(Error::Compacted.into());
            }
            reader.count(&self.rest, self.revision)
        })
    }

    fn from(&self, next: Bytes) -> KeyRange {
        KeyRange::from_bytes(next, self.range_end.clone())
    }

    fn read(&self, bound: Bound) -> Result<Vec<KeyValue>, Error> {
        if self.rest.is_empty() {
            return Ok(Vec::new());
        }
        let version = self.mvcc.version();
        let mut outcome = Ok(Vec::new());
        let viewed = version.backend.view(&mut |view| {
            // Records go only after their compact revision is published, so what is readable now is whole in `view`.
            outcome = if self.mvcc.compact_revision() > self.revision {
                Err(Error::Compacted.into())
            } else {
                scan_at(view, &self.rest, self.revision, bound)
            };
        });
        viewed.map_err(|error| broken(&error))?;
        outcome.map_err(|error| match error {
            ReadError::Client(error) => error,
            ReadError::Backend(error) => broken(&error),
            ReadError::Vanished => unreachable!("a scan of a view needs no record that it does not see"),
        })
    }
}

fn nothing() -> KeyRange {
    KeyRange::new(b"\x01", b"\x01")
}

fn weight(row: &KeyValue) -> usize {
    row.key.len() + row.value.len()
}

fn broken(error: &BackendError) -> Error {
    tracing::error!(error = error as &dyn std::error::Error, "the state cannot be read");
    Error::Corrupt
}
