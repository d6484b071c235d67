//! The reply to a plain Range, written straight from the disk's records to the bytes that go on the wire.
//!
//! Plain is what lists and pages are: live keys, in key order, with values, unfiltered. It is the same answer as
//! [`Reader::range`] gives, without a struct and two allocations per key; every other request takes that way.
//! Invariant, and tested: the bytes decode to what the other way answers.

use std::ops::ControlFlow;

use balsa_proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use balsa_proto::etcd::etcdserverpb::{RangeRequest, ResponseHeader};
use bytes::BytesMut;
use prost::encoding::{WireType, uint64};

use super::codec::{self, Record};
use super::read::{ReadError, Reader, take_at};
use super::{KeyRange, Live};
use crate::backend::{BackendError, Column, Cursor};

/// Fields of RangeResponse.
const HEADER: u32 = 1;
const KVS: u32 = 2;
const MORE: u32 = 3;
const COUNT: u32 = 4;

/// Fields of KeyValue.
const KEY: u32 = 1;
const CREATE_REVISION: u32 = 2;
const MOD_REVISION: u32 = 3;
const VERSION: u32 = 4;
const VALUE: u32 = 5;
const LEASE: u32 = 6;

/// Rows after which their mean size tells how much room all of them will take.
const SAMPLE_ROWS: usize = 32;

/// Whether [`Reader::range_wire`] can answer it.
pub fn is_plain(request: &RangeRequest) -> bool {
    let unfiltered = request.min_mod_revision == 0
        && request.max_mod_revision == 0
        && request.min_create_revision == 0
        && request.max_create_revision == 0;
    let in_key_order = request.sort_target == SortTarget::Key as i32
        && (request.sort_order == SortOrder::None as i32 || request.sort_order == SortOrder::Ascend as i32);
    let many_values = !request.range_end.is_empty() && !request.count_only && !request.keys_only;
    many_values && unfiltered && in_key_order && request.revision <= 0
}

impl Reader<'_> {
    /// Answers a request that [`is_plain`] behind what `out` holds, for a reader of a published version. `header` completes
    /// the revision.
    pub fn range_wire(
        &self,
        request: &RangeRequest,
        header: impl Fn(i64) -> ResponseHeader,
        mut out: BytesMut,
    ) -> Result<BytesMut, ReadError> {
        let range = KeyRange::from_bytes(request.key.clone(), request.range_end.clone());
        let count = if range.is_empty() { 0 } else { self.index.count(&range) };
        let limit = if request.limit > 0 { request.limit as usize } else { usize::MAX };
        prost::encoding::message::encode(HEADER, &header(self.revision), &mut out);
        if count > 0 {
            self.viewing(|view| {
                let mut rows = out.clone();
                let lower = codec::kv_lower_bound(range.start());
                let mut cursor = view.cursor(Column::Kv, &lower, &[]);
                cursor.seek(&lower)?;
                self.rows_wire(&range, count.min(limit), &mut *cursor, &mut rows)?;
                Ok(rows)
            })
            .map(|rows| out = rows)?;
        }
        if count > limit {
            uint64::encode(MORE, &1, &mut out);
        }
        if count > 0 {
            uint64::encode(COUNT, &(count as u64), &mut out);
        }
        Ok(out)
    }

    fn rows_wire(
        &self,
        range: &KeyRange,
        rows: usize,
        cursor: &mut dyn Cursor,
        out: &mut BytesMut,
    ) -> Result<(), ReadError> {
        let (mut written, mut at) = (0, Vec::new());
        let stopped = self.index.visit(range, &mut |key, live| {
            if written == rows {
                return ControlFlow::Break(Ok(()));
            }
            codec::kv_key_into(key, live.modified, &mut at);
            if let Err(error) = row_wire(cursor, &at, key, live, out) {
                return ControlFlow::Break(Err(error));
            }
            written += 1;
            if written == SAMPLE_ROWS {
                // A little more than the mean says: growing once more would copy everything.
                out.reserve(out.len() / SAMPLE_ROWS * (rows - written) * 17 / 16);
            }
            ControlFlow::Continue(())
        });
        stopped.unwrap_or(Ok(()))
    }
}

fn row_wire(
    cursor: &mut dyn Cursor,
    at: &[u8],
    key: &[u8],
    live: &Live,
    out: &mut BytesMut,
) -> Result<(), ReadError> {
    let corrupt = || -> BackendError { super::read::corrupt(Column::Kv, at) };
    let found =
        take_at(cursor, at, |bytes| Record::payload(bytes).map(|value| write_row(key, live, value, out)))?;
    match found {
        None => Err(ReadError::Vanished),
        Some(None) => Err(corrupt().into()),
        Some(Some(())) => Ok(()),
    }
}

/// Five copies: what is small is put together beside first, which also tells how long the row is.
fn write_row(key: &[u8], live: &Live, value: &[u8], out: &mut BytesMut) {
    let (mut before_key, mut between, mut behind) = (Small::default(), Small::default(), Small::default());
    before_key.begin_bytes(KEY, key);
    between.number(CREATE_REVISION, live.create_revision);
    between.number(MOD_REVISION, live.modified.main);
    between.number(VERSION, live.version);
    between.begin_bytes(VALUE, value);
    behind.number(LEASE, live.lease);
    let len = before_key.len + key.len() + between.len + value.len() + behind.len;
    let mut head = Small::default();
    head.varint(tag(KVS, WireType::LengthDelimited));
    head.varint(len as u64);
    head.append(&before_key);
    for part in [head.written(), key, between.written(), value, behind.written()] {
        out.extend_from_slice(part);
    }
}

fn tag(field: u32, wire_type: WireType) -> u64 {
    u64::from((field << 3) | wire_type as u32)
}

/// Room for the numbers of a row: at most four fields of eleven bytes stand together.
#[derive(Default)]
struct Small {
    bytes: [[u8; 11]; 4],
    len: usize,
}

impl Small {
    fn written(&self) -> &[u8] {
        &self.bytes.as_flattened()[..self.len]
    }

    fn append(&mut self, other: &Small) {
        self.bytes.as_flattened_mut()[self.len..][..other.len].copy_from_slice(other.written());
        self.len += other.len;
    }

    fn varint(&mut self, mut number: u64) {
        let bytes = self.bytes.as_flattened_mut();
        while number >= 0x80 {
            bytes[self.len] = number as u8 | 0x80;
            self.len += 1;
            number >>= 7;
        }
        bytes[self.len] = number as u8;
        self.len += 1;
    }

    /// Left out if it is zero, as everywhere in protobuf.
    fn number(&mut self, field: u32, number: i64) {
        if number != 0 {
            self.varint(tag(field, WireType::Varint));
            self.varint(number as u64);
        }
    }

    /// Of bytes that follow, unless there are none.
    fn begin_bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.varint(tag(field, WireType::LengthDelimited));
            self.varint(bytes.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use balsa_proto::etcd::mvccpb::KeyValue;
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_row_is_what_prost_writes() {
        let live = Live {
            modified: crate::revision::Revision::new(300, 2),
            create_revision: 7,
            version: 1,
            lease: -5,
        };
        let long = [b'x'; 70_000];
        for (key, value, lease) in
            [(&b"k"[..], &b"value"[..], -5), (b"key", b"", 0), (&long, &long, i64::MIN)]
        {
            let live = Live { lease, ..live };
            let mut out = BytesMut::new();
            write_row(key, &live, value, &mut out);
            let kv = super::super::key_value(
                Bytes::copy_from_slice(key),
                live.modified,
                live.meta(),
                Bytes::copy_from_slice(value),
            );
            let mut want = BytesMut::new();
            prost::encoding::message::encode::<KeyValue>(KVS, &kv, &mut want);
            assert_eq!(out, want);
        }
    }
}
