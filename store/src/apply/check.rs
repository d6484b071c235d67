//! What a request must satisfy before it is proposed: rules that need no state.
//!
//! The server asks here first, so that a request that can never succeed does not take a place in the log.
//! Source: etcd v3.6 `server/etcdserver/api/v3rpc/key.go`.

use std::collections::BTreeSet;

use balsa_proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};
use bytes::Bytes;

use crate::error::Error;
use crate::mvcc::KeyRange;

pub fn range(request: &RangeRequest) -> Result<(), Error> {
    key(&request.key)?;
    let known =
        SortOrder::try_from(request.sort_order).is_ok() && SortTarget::try_from(request.sort_target).is_ok();
    if known { Ok(()) } else { Err(Error::InvalidSortOption) }
}

pub fn put(request: &PutRequest) -> Result<(), Error> {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(Error::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Error::LeaseProvided);
    }
    Ok(())
}

pub fn delete_range(request: &DeleteRangeRequest) -> Result<(), Error> {
    key(&request.key)
}

/// Every operation by itself, the number of operations, and that no branch changes a key twice.
pub fn txn(request: &TxnRequest, max_ops: usize) -> Result<(), Error> {
    ops(request, max_ops)?;
    touched(&request.success)?;
    touched(&request.failure)?;
    Ok(())
}

fn key(key: &[u8]) -> Result<(), Error> {
    if key.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
}

/// A nested transaction gets what its parent has left.
fn ops(request: &TxnRequest, max_ops: usize) -> Result<(), Error> {
    let count = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = max_ops.checked_sub(count).ok_or(Error::TooManyOps)?;
    request.compare.iter().try_for_each(|compare| key(&compare.key))?;
    request.success.iter().chain(&request.failure).try_for_each(|op| match &op.request {
        Some(Request::RequestRange(request)) => range(request),
        Some(Request::RequestPut(request)) => put(request),
        Some(Request::RequestDeleteRange(request)) => delete_range(request),
        Some(Request::RequestTxn(inner)) => ops(inner, left),
        None => Err(Error::KeyNotFound),
    })
}

/// What a list of operations may change.
#[derive(Default)]
struct Touched {
    puts: BTreeSet<Bytes>,
    deletes: Vec<(Bytes, Bytes)>,
}

impl Touched {
    fn deletes(&self, key: &[u8]) -> bool {
        self.deletes.iter().any(|(start, end)| covers(start, end, key))
    }
}

/// Stock etcd does not look into a delete of "everything from here" (`range_end` = `\0`), and clients may rely on it.
fn covers(start: &Bytes, end: &Bytes, key: &[u8]) -> bool {
    end[..] != [0] && KeyRange::from_bytes(start.clone(), end.clone()).contains(key)
}

/// Refuses a second put of a key, and a put into a deleted range. Two deletes may overlap; the two branches of a nested
/// transaction exclude each other, but each must get along with what is around them.
fn touched(ops: &[RequestOp]) -> Result<Touched, Error> {
    let mut all = Touched::default();
    for op in ops {
        if let Some(Request::RequestDeleteRange(request)) = &op.request {
            all.deletes.push((request.key.clone(), request.range_end.clone()));
        }
    }
    for op in ops {
        if let Some(Request::RequestTxn(inner)) = &op.request {
            let success = touched(&inner.success)?;
            let failure = touched(&inner.failure)?;
            let either: BTreeSet<Bytes> = success.puts.union(&failure.puts).cloned().collect();
            if either.iter().any(|key| all.puts.contains(key) || all.deletes(key)) {
                return Err(Error::DuplicateKey);
            }
            all.puts.extend(either);
            all.deletes.extend(success.deletes);
            all.deletes.extend(failure.deletes);
        }
    }
    for op in ops {
        if let Some(Request::RequestPut(request)) = &op.request
            && (all.deletes(&request.key) || !all.puts.insert(request.key.clone()))
        {
            return Err(Error::DuplicateKey);
        }
    }
    Ok(all)
}
