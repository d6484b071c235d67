//! etcd's buckets, and the shapes of their keys and values.
//!
//! | bucket | key | value |
//! |---|---|---|
//! | `key` | `main` 8 bytes, `_`, `sub` 8 bytes, big endian; `t` behind a delete | `mvccpb.KeyValue`; of a delete only its key |
//! | `lease` | id, big endian | `leasepb.Lease` |
//! | `alarm` | `etcdserverpb.AlarmMember` | empty |
//! | `members` | member id in hex | JSON |
//! | `meta` | a name | numbers big endian, revisions as in `key`, JSON |
//!
//! Source: etcd v3.6 `server/storage/schema`, `server/storage/mvcc/revision.go`.

use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use serde::Serialize;

use crate::lease::Terms;
use crate::mvcc::codec::{Kind, Meta};
use crate::revision::Revision;

pub const ALARM: &str = "alarm";
pub const AUTH: &str = "auth";
pub const AUTH_ROLES: &str = "authRoles";
pub const AUTH_USERS: &str = "authUsers";
pub const CLUSTER: &str = "cluster";
pub const KEY: &str = "key";
pub const LEASE: &str = "lease";
pub const MEMBERS: &str = "members";
pub const MEMBERS_REMOVED: &str = "members_removed";
pub const META: &str = "meta";

pub const CLUSTER_VERSION_KEY: &str = "clusterVersion";
pub const CONF_STATE_KEY: &str = "confState";
pub const CONSISTENT_INDEX_KEY: &str = "consistent_index";
pub const FINISHED_COMPACT_KEY: &str = "finishedCompactRev";
pub const SCHEDULED_COMPACT_KEY: &str = "scheduledCompactRev";
pub const STORAGE_VERSION_KEY: &str = "storageVersion";
pub const TERM_KEY: &str = "term";

const REVISION_BYTES: usize = 8 + 1 + 8;
const SEPARATOR: u8 = b'_';
const TOMBSTONE: u8 = b't';

pub fn revision(revision: Revision) -> Vec<u8> {
    let mut out = Vec::with_capacity(REVISION_BYTES + 1);
    out.put_i64(revision.main);
    out.put_u8(SEPARATOR);
    out.put_i64(i64::from(revision.sub));
    out
}

/// A key of the bucket `key`.
pub fn change_key(at: Revision, kind: Kind) -> Vec<u8> {
    let mut out = revision(at);
    if kind == Kind::Delete {
        out.push(TOMBSTONE);
    }
    out
}

/// A value of the bucket `key`. A record without a key holds a place in the history (`--bump-revision`) and is empty.
pub fn change_value(at: Revision, meta: Meta, key: Bytes, value: Bytes) -> Vec<u8> {
    let kv = match meta.kind {
        Kind::Put if key.is_empty() => KeyValue::default(),
        Kind::Put => KeyValue {
            key,
            create_revision: meta.create_revision,
            mod_revision: at.main,
            version: meta.version,
            value,
            lease: meta.lease,
        },
        Kind::Delete => KeyValue { key, ..KeyValue::default() },
    };
    kv.encode_to_vec()
}

/// Also of the revisions in `meta`. `None` if the bytes are not one.
pub fn parse_revision(mut bytes: &[u8]) -> Option<(Revision, Kind)> {
    let kind = match bytes.len().checked_sub(REVISION_BYTES)? {
        0 => Kind::Put,
        1 if bytes.last() == Some(&TOMBSTONE) => Kind::Delete,
        _ => return None,
    };
    let main = bytes.get_i64();
    let separated = bytes.get_u8() == SEPARATOR;
    let sub = u32::try_from(bytes.get_i64()).ok()?;
    (separated && main >= 0).then_some((Revision::new(main, sub), kind))
}

/// `leasepb.Lease`, written by hand: three numbers do not need a file of their own.
#[derive(Clone, PartialEq, Message)]
struct LeaseRecord {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl: i64,
    #[prost(int64, tag = "3")]
    remaining_ttl: i64,
}

pub fn lease_key(id: i64) -> [u8; 8] {
    id.to_be_bytes()
}

pub fn lease_value(id: i64, terms: Terms) -> Vec<u8> {
    LeaseRecord { id, ttl: terms.ttl_seconds, remaining_ttl: terms.remaining_seconds }.encode_to_vec()
}

pub fn parse_lease(bytes: &[u8]) -> Option<(i64, Terms)> {
    let lease = LeaseRecord::decode(bytes).ok()?;
    // Not what was left at a checkpoint: a leader here does not take that back when the lease is renewed, so that the next
    // one would end it early.
    Some((lease.id, Terms { ttl_seconds: lease.ttl, remaining_seconds: 0 }))
}

/// A value of the bucket `members_removed`.
pub const REMOVED_VALUE: &[u8] = b"removed";

pub fn member_key(id: u64) -> String {
    format!("{id:x}")
}

/// A value of `meta`; as stock's JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfState {
    pub voters: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub learners: Vec<u64>,
    pub auto_leave: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_look_like_stocks() {
        let at = Revision::new(5, 0);
        assert_eq!(change_key(at, Kind::Delete), b"\0\0\0\0\0\0\0\x05_\0\0\0\0\0\0\0\0t");
        assert_eq!(change_value(at, Meta::TOMBSTONE, "b".into(), Bytes::new()), b"\n\x01b");
        let meta = Meta { kind: Kind::Put, create_revision: 2, version: 2, lease: 0 };
        assert_eq!(
            change_value(Revision::new(4, 0), meta, "a".into(), "3".into()),
            b"\n\x01a\x10\x02\x18\x04 \x02*\x013"
        );
    }

    #[test]
    fn revisions_come_back() {
        let at = Revision::new(258, 7);
        assert_eq!(parse_revision(&change_key(at, Kind::Put)), Some((at, Kind::Put)));
        assert_eq!(parse_revision(&change_key(at, Kind::Delete)), Some((at, Kind::Delete)));
        assert_eq!(parse_revision(b"\0\0\0\0\0\0\0\x05-\0\0\0\0\0\0\0\0"), None);
    }
}
