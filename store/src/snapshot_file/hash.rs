//! `HashKV` of a snapshot file: the number that a server with this data answers.

use std::collections::HashMap;

use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;
use prost::Message;

use super::reader::Bucket;
use super::{BoltFile, FileError, records};
use crate::mvcc::codec::Kind;
use crate::mvcc::hash::Hasher;
use crate::mvcc::load::NEVER_COMPACTED;
use crate::revision::Revision;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHash {
    pub hash: u32,
    pub hash_revision: i64,
    pub compact_revision: i64,
}

/// At `revision`, or at the newest for 0. Reads the history twice, and holds every key that ever lived.
pub fn of(file: &BoltFile, revision: i64) -> Result<FileHash, FileError> {
    let buckets = file.buckets()?;
    let named = |name: &'static str| {
        buckets.iter().find(|bucket| bucket.name == name.as_bytes()).ok_or(FileError::NoBucket(name))
    };
    let history = named(records::KEY)?;
    let compact_revision = compact_revision(file, named(records::META)?)?;
    let mut newest: HashMap<Bytes, (Revision, Kind)> = HashMap::new();
    let mut last_revision = compact_revision.max(Revision::FRESH_STORE);
    each(file, history, &mut |at, kind, _, value| {
        last_revision = last_revision.max(at.main);
        if revision == 0 || at.main <= revision {
            newest.insert(user_key(value)?, (at, kind));
        }
        Ok(())
    })?;
    let hash_revision = if revision == 0 { last_revision } else { revision };
    if hash_revision > last_revision {
        return Err(FileError::Future { revision, last: last_revision });
    }
    if hash_revision < compact_revision {
        return Err(FileError::Compacted { revision, compacted: compact_revision });
    }
    let live = newest.values().any(|(_, kind)| *kind == Kind::Put);
    let mut hasher = Hasher::new(hash_revision, compact_revision);
    each(file, history, &mut |at, kind, key, value| {
        let counts = match hasher.counts(at, kind) {
            Some(counts) => counts,
            // Without a live key nothing is skipped.
            None => !live || newest.get(&user_key(value)?) == Some(&(at, Kind::Put)),
        };
        if counts {
            hasher.add(key, value);
        }
        Ok(())
    })?;
    Ok(FileHash { hash: hasher.hash(), hash_revision, compact_revision })
}

/// Takes place, kind, and the raw key and value of a change.
type TakeChange<'a> = &'a mut dyn FnMut(Revision, Kind, &[u8], &[u8]) -> Result<(), FileError>;

fn each(file: &BoltFile, history: &Bucket, take: TakeChange<'_>) -> Result<(), FileError> {
    file.visit(history, |key, value| {
        let bad = || FileError::Record { bucket: records::KEY, key: key.escape_ascii().to_string() };
        let (at, kind) = records::parse_revision(key).ok_or_else(bad)?;
        take(at, kind, key, value)
    })
}

fn user_key(value: &[u8]) -> Result<Bytes, FileError> {
    let kv = KeyValue::decode(value)
        .map_err(|_| FileError::Record { bucket: records::KEY, key: "a value".to_owned() })?;
    Ok(kv.key)
}

fn compact_revision(file: &BoltFile, meta: &Bucket) -> Result<i64, FileError> {
    let mut compacted = NEVER_COMPACTED;
    file.visit(meta, |key, value| {
        let of_compaction = [records::SCHEDULED_COMPACT_KEY, records::FINISHED_COMPACT_KEY]
            .iter()
            .any(|name| name.as_bytes() == key);
        if of_compaction && let Some((at, _)) = records::parse_revision(value) {
            compacted = compacted.max(at.main);
        }
        Ok::<(), FileError>(())
    })?;
    Ok(compacted)
}
