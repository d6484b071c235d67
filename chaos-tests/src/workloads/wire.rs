//! Requests of a history to etcd's messages, and answers back.

use balsa_proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use balsa_proto::etcd::etcdserverpb::request_op::Request as OpRequest;
use balsa_proto::etcd::etcdserverpb::response_op::Response as OpResponse;
use balsa_proto::etcd::etcdserverpb::{
    self as pb, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseOp,
    TxnRequest, TxnResponse,
};
use balsa_proto::etcd::mvccpb::KeyValue;

use crate::history::{Compare, Expected, Kv, Reply, Request};

/// First key after all keys with this prefix.
pub fn prefix_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("prefixes of workloads are not empty") += 1;
    end
}

pub fn get(key: &str, serializable: bool) -> RangeRequest {
    RangeRequest { key: key.as_bytes().to_vec().into(), serializable, ..RangeRequest::default() }
}

pub fn list(prefix: &str, revision: i64, serializable: bool) -> RangeRequest {
    RangeRequest {
        key: prefix.as_bytes().to_vec().into(),
        range_end: prefix_end(prefix).into(),
        revision,
        serializable,
        ..RangeRequest::default()
    }
}

pub fn put(key: &str, value: &str, lease: i64) -> PutRequest {
    PutRequest {
        key: key.as_bytes().to_vec().into(),
        value: value.as_bytes().to_vec().into(),
        lease,
        ..PutRequest::default()
    }
}

pub fn delete(key: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: key.as_bytes().to_vec().into(), ..DeleteRangeRequest::default() }
}

pub fn txn(compare: &[Compare], success: &[Request], failure: &[Request]) -> TxnRequest {
    TxnRequest {
        compare: compare.iter().map(comparison).collect(),
        success: success.iter().map(operation).collect(),
        failure: failure.iter().map(operation).collect(),
    }
}

fn comparison(compare: &Compare) -> pb::Compare {
    let (target, union) = match &compare.expected {
        Expected::Value(value) => {
            (CompareTarget::Value, TargetUnion::Value(value.as_bytes().to_vec().into()))
        }
        Expected::ModRevision(revision) => (CompareTarget::Mod, TargetUnion::ModRevision(*revision)),
        Expected::CreateRevision(revision) => (CompareTarget::Create, TargetUnion::CreateRevision(*revision)),
        Expected::Absent => (CompareTarget::Create, TargetUnion::CreateRevision(0)),
    };
    pb::Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: compare.key.as_bytes().to_vec().into(),
        target_union: Some(union),
        ..pb::Compare::default()
    }
}

fn operation(request: &Request) -> RequestOp {
    let request = match request {
        Request::Get { key, serializable } => OpRequest::RequestRange(get(key, *serializable)),
        Request::List { prefix, revision, serializable } => {
            OpRequest::RequestRange(list(prefix, *revision, *serializable))
        }
        Request::Put { key, value, lease } => OpRequest::RequestPut(put(key, value, *lease)),
        Request::Delete { key } => OpRequest::RequestDeleteRange(delete(key)),
        Request::Txn { compare, success, failure } => OpRequest::RequestTxn(txn(compare, success, failure)),
        Request::Compact { .. }
        | Request::LeaseGrant { .. }
        | Request::LeaseKeepAlive { .. }
        | Request::LeaseRevoke { .. }
        | Request::Lock { .. }
        | Request::Unlock { .. } => {
            panic!("workloads put only reads and writes of keys into a transaction")
        }
    };
    RequestOp { request: Some(request) }
}

pub fn kv(kv: KeyValue) -> Kv {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Kv {
        key: text(&kv.key),
        value: text(&kv.value),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        lease: kv.lease,
    }
}

pub fn range_reply(response: RangeResponse) -> Reply {
    Reply::Range { count: response.count, kvs: response.kvs.into_iter().map(kv).collect() }
}

pub fn txn_reply(response: TxnResponse) -> Reply {
    Reply::Txn {
        succeeded: response.succeeded,
        replies: response.responses.into_iter().map(operation_reply).collect(),
    }
}

fn operation_reply(response: ResponseOp) -> Reply {
    match response.response {
        Some(OpResponse::ResponseRange(range)) => range_reply(range),
        Some(OpResponse::ResponseDeleteRange(delete)) => Reply::Delete { deleted: delete.deleted },
        Some(OpResponse::ResponseTxn(txn)) => txn_reply(txn),
        // A put without prev_kv answers with nothing but a header, which a server may leave empty.
        Some(OpResponse::ResponsePut(_)) | None => Reply::Put,
    }
}
