//! Reads the records of a snapshot file into an empty state.
//!
//! Written in batches of bounded size. What belongs to the old cluster's membership and raft log is left behind.

use balsa_proto::etcd::mvccpb::KeyValue;
use prost::Message;

use super::reader::Bucket;
use super::{BoltFile, FileError, copied, records};
use crate::backend::{Backend, Column, WriteBatch};
use crate::mvcc::codec::{self, Kind, Meta, Record};
use crate::mvcc::load;
use crate::revision::Revision;

/// Bytes after which a batch is written.
const BATCH_BYTES: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    pub revision: i64,
    pub changes: u64,
}

pub fn import(file: &BoltFile, backend: &dyn Backend) -> Result<Imported, FileError> {
    let mut target = Target { backend, batch: WriteBatch::default(), bytes: 0 };
    let mut imported = Imported { revision: Revision::FRESH_STORE, changes: 0 };
    let buckets = file.buckets()?;
    let named = |name: &'static str| buckets.iter().find(|bucket| bucket.name == name.as_bytes());
    let key = named(records::KEY).ok_or(FileError::NoBucket(records::KEY))?;
    file.visit(key, |key, value| {
        let at = change(&mut target, key, value)?;
        imported.revision = imported.revision.max(at.main);
        imported.changes += 1;
        Ok::<(), FileError>(())
    })?;
    each(file, named(records::LEASE), |key, value| lease(&mut target, key, value))?;
    each(file, named(records::META), |key, value| {
        let Some(compacted) = compaction(&mut target, key, value)? else { return Ok(()) };
        // All that is left may be older than the compaction.
        imported.revision = imported.revision.max(compacted);
        Ok(())
    })?;
    for bucket in buckets.iter().filter(|bucket| copied::has(&bucket.name)) {
        file.visit(bucket, |key, value| copy(&mut target, &bucket.name, key, value))?;
    }
    target.flush()?;
    Ok(imported)
}

/// A bucket that is not there has no records.
fn each(
    file: &BoltFile,
    bucket: Option<&Bucket>,
    take: impl FnMut(&[u8], &[u8]) -> Result<(), FileError>,
) -> Result<(), FileError> {
    bucket.map_or(Ok(()), |bucket| file.visit(bucket, take))
}

struct Target<'a> {
    backend: &'a dyn Backend,
    batch: WriteBatch,
    bytes: usize,
}

impl Target<'_> {
    fn put(&mut self, column: Column, key: Vec<u8>, value: impl Into<bytes::Bytes>) -> Result<(), FileError> {
        let value = value.into();
        self.bytes += key.len() + value.len();
        self.batch.put(column, key, value);
        if self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), FileError> {
        self.backend.write(&std::mem::take(&mut self.batch))?;
        self.bytes = 0;
        Ok(())
    }
}

/// What stands in our state as it stands in the file.
fn copy(target: &mut Target<'_>, bucket: &[u8], key: &[u8], value: &[u8]) -> Result<(), FileError> {
    match copied::own_key(bucket, key) {
        Some(own) => target.put(Column::Meta, own, value.to_vec()),
        None => Ok(()),
    }
}

fn damaged(bucket: &'static str, key: &[u8]) -> FileError {
    FileError::Record { bucket, key: key.escape_ascii().to_string() }
}

fn change(target: &mut Target<'_>, key: &[u8], value: &[u8]) -> Result<Revision, FileError> {
    let bad = || damaged(records::KEY, key);
    let (at, kind) = records::parse_revision(key).ok_or_else(bad)?;
    let kv = KeyValue::decode(value).map_err(|_| bad())?;
    let meta = match kind {
        // A record without a key holds a place in the history.
        Kind::Put if kv.mod_revision != at.main && !kv.key.is_empty() => return Err(bad()),
        Kind::Put => Meta { kind, create_revision: kv.create_revision, version: kv.version, lease: kv.lease },
        Kind::Delete => Meta::TOMBSTONE,
    };
    target.put(Column::Kv, codec::kv_key(&kv.key, at), Record::encode(meta, &kv.value))?;
    target.put(Column::Log, codec::log_key(at), Record::encode(meta, &kv.key))?;
    Ok(at)
}

fn lease(target: &mut Target<'_>, key: &[u8], value: &[u8]) -> Result<(), FileError> {
    let (id, terms) = records::parse_lease(value).ok_or_else(|| damaged(records::LEASE, key))?;
    target.put(Column::Lease, codec::lease_key(id), terms.encode())
}

/// The revision that reads are refused below, if this record tells one.
fn compaction(target: &mut Target<'_>, key: &[u8], value: &[u8]) -> Result<Option<i64>, FileError> {
    let ours = if key == records::SCHEDULED_COMPACT_KEY.as_bytes() {
        load::COMPACT_SCHEDULED
    } else if key == records::FINISHED_COMPACT_KEY.as_bytes() {
        load::COMPACT_FINISHED
    } else {
        return Ok(None);
    };
    let (at, _) = records::parse_revision(value).ok_or_else(|| damaged(records::META, key))?;
    target.put(Column::Meta, ours.to_vec(), codec::i64_value(at.main))?;
    Ok(Some(at.main))
}
