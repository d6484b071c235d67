//! The bytes of the state: keys and values of the column families `kv`, `log`, `lease` and `meta`.
//!
//! `kv` key: the user key, escaped so that bytewise order is (user key, revision *descending*): `00` becomes `00 ff`, the
//! key ends with `00 01`, then the bitwise complement of `main` (8 bytes) and `sub` (4 bytes).
//! ```text
//! "a"  at 5/0   61 00 01 ff..fa ffffffff      newest first,
//! "a"  at 3/0   61 00 01 ff..fc ffffffff      then older,
//! "a\0" at 4/0  61 00 ff 00 01 ff..fb ...     then the next user key
//! ```
//! `kv` value: header of [`Record`] (a kind byte and three little-endian integers), then the value.
//! `log` key: `main` and `sub`, big-endian. `log` value: the same header, then the user key.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::revision::Revision;

/// What a change did to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Put,
    Delete,
}

/// All that is known of one version of a key, but for key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    pub kind: Kind,
    /// 0 in a delete, like the two that follow.
    pub create_revision: i64,
    pub version: i64,
    pub lease: i64,
}

impl Meta {
    pub const TOMBSTONE: Meta = Meta { kind: Kind::Delete, create_revision: 0, version: 0, lease: 0 };
}

/// One version of a key: its metadata and its payload (the value in `kv`, the user key in `log`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub meta: Meta,
    pub payload: Bytes,
}

const HEADER_BYTES: usize = 1 + 8 + 8 + 8;
const REVISION_BYTES: usize = 8 + 4;
const TERMINATOR: [u8; 2] = [0x00, 0x01];

impl Record {
    pub fn encode(meta: Meta, payload: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + payload.len());
        out.put_u8(match meta.kind {
            Kind::Put => 1,
            Kind::Delete => 2,
        });
        out.put_i64_le(meta.create_revision);
        out.put_i64_le(meta.version);
        out.put_i64_le(meta.lease);
        out.put_slice(payload);
        out.freeze()
    }

    pub fn decode_meta(mut bytes: &[u8]) -> Option<Meta> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        let kind = match bytes.get_u8() {
            1 => Kind::Put,
            2 => Kind::Delete,
            _ => return None,
        };
        Some(Meta {
            kind,
            create_revision: bytes.get_i64_le(),
            version: bytes.get_i64_le(),
            lease: bytes.get_i64_le(),
        })
    }

    /// Shares the payload with `bytes`.
    pub fn decode(mut bytes: Bytes) -> Option<Record> {
        let meta = Self::decode_meta(&bytes)?;
        bytes.advance(HEADER_BYTES);
        Some(Record { meta, payload: bytes })
    }

    pub fn payload(bytes: &[u8]) -> Option<&[u8]> {
        bytes.get(HEADER_BYTES..)
    }
}

/// The part of a `kv` key that all versions of `user_key` share.
pub fn kv_prefix(user_key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(user_key.len() + TERMINATOR.len() + REVISION_BYTES);
    escape_into(user_key, &mut out);
    out.extend_from_slice(&TERMINATOR);
    out
}

pub fn kv_key(user_key: &[u8], revision: Revision) -> Vec<u8> {
    let mut out = Vec::with_capacity(user_key.len() + TERMINATOR.len() + REVISION_BYTES);
    kv_key_into(user_key, revision, &mut out);
    out
}

/// Replaces what `out` holds.
pub fn kv_key_into(user_key: &[u8], revision: Revision, out: &mut Vec<u8>) {
    out.clear();
    escape_into(user_key, out);
    out.extend_from_slice(&TERMINATOR);
    out.put_i64(!revision.main);
    out.put_u32(!revision.sub);
}

/// Where the versions of user keys at or after `user_key` begin.
pub fn kv_lower_bound(user_key: &[u8]) -> Vec<u8> {
    kv_prefix(user_key)
}

/// The user key and the revision of a `kv` key; `None` if the bytes are not one.
pub fn parse_kv_key(bytes: &[u8]) -> Option<(Vec<u8>, Revision)> {
    let (escaped, mut tail) = split_kv_key(bytes)?;
    let mut user_key = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        user_key.extend_from_slice(&rest[..=zero]);
        rest = rest.get(zero + 2..)?;
    }
    user_key.extend_from_slice(rest);
    Some((user_key, Revision::new(!tail.get_i64(), !tail.get_u32())))
}

/// The bytes before the revision, which identify the user key, and the revision.
pub fn split_kv_revision(bytes: &[u8]) -> Option<(&[u8], Revision)> {
    let at = bytes.len().checked_sub(REVISION_BYTES)?;
    let (prefix, mut tail) = bytes.split_at(at);
    Some((prefix, Revision::new(!tail.get_i64(), !tail.get_u32())))
}

fn split_kv_key(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.len().checked_sub(REVISION_BYTES)?;
    let (prefix, tail) = bytes.split_at(at);
    Some((prefix.strip_suffix(&TERMINATOR)?, tail))
}

fn escape_into(user_key: &[u8], out: &mut Vec<u8>) {
    for byte in user_key {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
}

pub fn log_key(revision: Revision) -> Vec<u8> {
    let mut out = Vec::with_capacity(REVISION_BYTES);
    out.put_i64(revision.main);
    out.put_u32(revision.sub);
    out
}

pub fn parse_log_key(mut bytes: &[u8]) -> Option<Revision> {
    (bytes.len() == REVISION_BYTES).then(|| Revision::new(bytes.get_i64(), bytes.get_u32()))
}

/// Lease ids sort as the numbers they are, negative ones first.
pub fn lease_key(id: i64) -> Vec<u8> {
    ((id as u64) ^ (1 << 63)).to_be_bytes().to_vec()
}

pub fn parse_lease_key(bytes: &[u8]) -> Option<i64> {
    Some((u64::from_be_bytes(bytes.try_into().ok()?) ^ (1 << 63)) as i64)
}

pub fn i64_value(number: i64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

pub fn parse_i64(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn kv_keys_order_by_key_and_then_newest_first(
            a in proptest::collection::vec(0u8..3, 0..5), b in proptest::collection::vec(0u8..3, 0..5),
            ra in (0i64..3, 0u32..3), rb in (0i64..3, 0u32..3),
        ) {
            let (ra, rb) = (Revision::new(ra.0, ra.1), Revision::new(rb.0, rb.1));
            let want = a.cmp(&b).then(rb.cmp(&ra));
            prop_assert_eq!(kv_key(&a, ra).cmp(&kv_key(&b, rb)), want);
            prop_assert_eq!(parse_kv_key(&kv_key(&a, ra)), Some((a, ra)));
        }

        #[test]
        fn lease_keys_order_like_numbers(a: i64, b: i64) {
            prop_assert_eq!(lease_key(a).cmp(&lease_key(b)), a.cmp(&b));
            prop_assert_eq!(parse_lease_key(&lease_key(a)), Some(a));
        }
    }

    #[test]
    fn a_record_comes_back() {
        let meta = Meta { kind: Kind::Put, create_revision: 2, version: 3, lease: -4 };
        let record = Record::decode(Record::encode(meta, b"value")).expect("parses");
        assert_eq!(record, Record { meta, payload: Bytes::from_static(b"value") });
        assert_eq!(Record::decode(Bytes::from_static(b"\x01short")), None);
    }
}
