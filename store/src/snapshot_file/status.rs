//! What a snapshot file holds, in the numbers that `snapshot status` prints.
//!
//! Source: etcd v3.6 `etcdutl/snapshot/v3_snapshot.go`: the hash covers bucket names, keys and values in order.

use std::collections::HashSet;
use std::path::Path;

use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;
use prost::Message;

use super::{BoltFile, FileError, records};
use crate::mvcc::codec::Kind;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// CRC-32C.
    pub hash: u32,
    pub revision: i64,
    /// Keys that are live at that revision.
    pub total_keys: usize,
    pub total_bytes: u64,
    /// Of the storage schema; empty before 3.6.
    pub version: String,
}

/// Reads the whole file.
pub fn of(path: &Path) -> Result<Status, FileError> {
    let file = BoltFile::open(path)?;
    let mut status = Status { total_bytes: file.data_bytes(), ..Status::default() };
    let mut live: HashSet<Bytes> = HashSet::new();
    for bucket in file.buckets()? {
        status.hash = crc32c::crc32c_append(status.hash, &bucket.name);
        file.visit(&bucket, |key, value| {
            status.hash = crc32c::crc32c_append(status.hash, key);
            status.hash = crc32c::crc32c_append(status.hash, value);
            if bucket.name == records::KEY.as_bytes() {
                let bad = || FileError::Record { bucket: records::KEY, key: key.escape_ascii().to_string() };
                let (at, kind) = records::parse_revision(key).ok_or_else(bad)?;
                let kv = KeyValue::decode(value).map_err(|_| bad())?;
                status.revision = at.main;
                match kind {
                    Kind::Put => live.insert(kv.key),
                    Kind::Delete => live.remove(&kv.key),
                };
            } else if bucket.name == records::META.as_bytes()
                && key == records::STORAGE_VERSION_KEY.as_bytes()
            {
                status.version = String::from_utf8_lossy(value).into_owned();
            }
            Ok::<(), FileError>(())
        })?;
    }
    status.total_keys = live.len();
    Ok(status)
}
