//! What alarms forbid. Decided here, on the state, so that every member refuses the same commands.
//!
//! | alarm | refused | error |
//! |---|---|---|
//! | NOSPACE | what takes space: puts, transactions with a put in either branch, lease grants | `NoSpace` |
//! | CORRUPT | every change of keys and leases | `Corrupt` |
//!
//! Reads, deletes and compactions go on under NOSPACE: they are the way out. Source: etcd v3.6
//! `server/etcdserver/apply`, `server/storage/quota.go`.

use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::{AlarmType, PutRequest, RequestOp, TxnRequest};
use balsa_proto::store::command::Op;

use crate::error::Error;
use crate::mvcc::alarms::Alarms;

/// What a key costs beside its bytes, and a lease. etcd's estimates.
const KEY_OVERHEAD_BYTES: u64 = 256;
const LEASE_OVERHEAD_BYTES: u64 = 64;

pub fn check(alarms: &Alarms, op: &Op) -> Result<(), Error> {
    if changes_data(op) && alarms.any(AlarmType::Corrupt) {
        return Err(Error::Corrupt);
    }
    if cost_bytes(op) > 0 && alarms.any(AlarmType::Nospace) {
        return Err(Error::NoSpace);
    }
    Ok(())
}

fn changes_data(op: &Op) -> bool {
    matches!(
        op,
        Op::Put(_)
            | Op::DeleteRange(_)
            | Op::Txn(_)
            | Op::Compaction(_)
            | Op::LeaseGrant(_)
            | Op::LeaseRevoke(_)
    )
}

/// What the quota counts a command as; 0 of what takes no space.
pub fn cost_bytes(op: &Op) -> u64 {
    match op {
        Op::Put(request) => put(request),
        Op::Txn(request) => txn(request),
        Op::LeaseGrant(_) => LEASE_OVERHEAD_BYTES,
        _ => 0,
    }
}

fn put(request: &PutRequest) -> u64 {
    KEY_OVERHEAD_BYTES + (request.key.len() + request.value.len()) as u64
}

/// The dearer branch, transactions inside of it included.
fn txn(request: &TxnRequest) -> u64 {
    branch(&request.success).max(branch(&request.failure))
}

fn branch(ops: &[RequestOp]) -> u64 {
    let of = |op: &RequestOp| match &op.request {
        Some(Request::RequestPut(request)) => put(request),
        Some(Request::RequestTxn(inner)) => txn(inner),
        Some(Request::RequestRange(_) | Request::RequestDeleteRange(_)) | None => 0,
    };
    ops.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use balsa_proto::etcd::etcdserverpb::{AlarmMember, DeleteRangeRequest, LeaseGrantRequest};

    use super::*;

    fn put_op() -> RequestOp {
        let put = PutRequest { key: "k".into(), value: "vv".into(), ..Default::default() };
        RequestOp { request: Some(Request::RequestPut(put)) }
    }

    fn nested(inner: TxnRequest) -> RequestOp {
        RequestOp { request: Some(Request::RequestTxn(inner)) }
    }

    /// Transactions inside of transactions cost nothing.
    #[test]
    fn bug_22140_a_transaction_costs_its_dearer_branch_with_all_that_is_nested() {
        let inner =
            TxnRequest { success: vec![put_op()], failure: vec![put_op(), put_op()], ..Default::default() };
        let txn = TxnRequest { success: vec![put_op()], failure: vec![nested(inner)], ..Default::default() };
        assert_eq!(cost_bytes(&Op::Txn(txn)), 2 * (256 + 3));
        assert_eq!(cost_bytes(&Op::Txn(TxnRequest::default())), 0);
        assert_eq!(cost_bytes(&Op::LeaseGrant(LeaseGrantRequest::default())), 64);
    }

    #[test]
    fn alarms_refuse_what_they_must_and_no_more() {
        let raised = |kind: AlarmType| {
            let mut alarms = Alarms::default();
            alarms.insert(AlarmMember { member_id: 1, alarm: kind as i32 });
            alarms
        };
        let put = Op::Put(PutRequest { key: "k".into(), ..Default::default() });
        let delete = Op::DeleteRange(DeleteRangeRequest::default());
        assert_eq!(check(&Alarms::default(), &put), Ok(()));
        assert_eq!(check(&raised(AlarmType::Nospace), &put), Err(Error::NoSpace));
        assert_eq!(check(&raised(AlarmType::Nospace), &delete), Ok(()));
        assert_eq!(check(&raised(AlarmType::Corrupt), &delete), Err(Error::Corrupt));
    }
}
