//! The `If` of a transaction: which branch is taken, all the way down, decided on the state before the first write.
//!
//! Source: etcd v3.6 `server/etcdserver/txn/txn.go` (`compareToPath`).

use std::cmp::Ordering;

use balsa_proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::{Compare, RequestOp, TxnRequest};
use balsa_proto::etcd::mvccpb::KeyValue;

use crate::mvcc::KeyRange;
use crate::mvcc::read::{ReadError, Reader};

/// The branch that a transaction takes, and those of the transactions inside the branch, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub succeeded: bool,
    pub nested: Vec<Path>,
}

impl Path {
    pub fn choose(reader: &Reader<'_>, request: &TxnRequest) -> Result<Path, ReadError> {
        let mut succeeded = true;
        for compare in &request.compare {
            if !holds(reader, compare)? {
                succeeded = false;
                break;
            }
        }
        let mut nested = Vec::new();
        for op in branch(request, succeeded) {
            if let Some(Request::RequestTxn(inner)) = &op.request {
                nested.push(Path::choose(reader, inner)?);
            }
        }
        Ok(Path { succeeded, nested })
    }
}

pub fn branch(request: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    if succeeded { &request.success } else { &request.failure }
}

/// Every key of the compare's range must satisfy it. A key that is not there is compared as all zeroes, but has no value
/// that anything could be said about.
fn holds(reader: &Reader<'_>, compare: &Compare) -> Result<bool, ReadError> {
    let range = KeyRange::from_bytes(compare.key.clone(), compare.range_end.clone());
    let of_value = compare.target == CompareTarget::Value as i32;
    let rows = reader.rows(&range, reader.revision, 0, of_value)?;
    if rows.is_empty() {
        return Ok(!of_value && satisfies(compare, &KeyValue::default()));
    }
    Ok(rows.iter().all(|row| satisfies(compare, row)))
}

fn satisfies(compare: &Compare, row: &KeyValue) -> bool {
    let ordering = order(compare, row);
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering == Ordering::Equal,
        Ok(CompareResult::NotEqual) => ordering != Ordering::Equal,
        Ok(CompareResult::Greater) => ordering == Ordering::Greater,
        Ok(CompareResult::Less) => ordering == Ordering::Less,
        // An operator of a newer version: stock etcd says yes.
        Err(_) => true,
    }
}

/// A union that does not fit the target counts as zero, as it does in stock etcd.
fn order(compare: &Compare, row: &KeyValue) -> Ordering {
    let union = compare.target_union.as_ref();
    match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Value) => match union {
            Some(TargetUnion::Value(value)) => row.value.cmp(value),
            _ => row.value.cmp(&bytes::Bytes::new()),
        },
        Ok(CompareTarget::Create) => row.create_revision.cmp(&match union {
            Some(TargetUnion::CreateRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Mod) => row.mod_revision.cmp(&match union {
            Some(TargetUnion::ModRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Version) => row.version.cmp(&match union {
            Some(TargetUnion::Version(version)) => *version,
            _ => 0,
        }),
        Ok(CompareTarget::Lease) => row.lease.cmp(&match union {
            Some(TargetUnion::Lease(lease)) => *lease,
            _ => 0,
        }),
        Err(_) => Ordering::Equal,
    }
}
