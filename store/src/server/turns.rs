//! Who is first: keys below `name/`, one per lease, in the order of their creation. What locks and elections share.
//!
//! Everything is done through this member's own services in the client's name, so that access control, limits and
//! leases count as they do for a client that does the same by itself. Source: etcd's `client/v3/concurrency`.

use balsa_proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use balsa_proto::etcd::etcdserverpb::kv_server::Kv;
use balsa_proto::etcd::etcdserverpb::lease_server::Lease;
use balsa_proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use balsa_proto::etcd::etcdserverpb::request_op::Request as OpRequest;
use balsa_proto::etcd::etcdserverpb::response_op::Response as OpResponse;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RangeResponse, RequestOp,
    ResponseHeader, ResponseOp, TxnRequest, TxnResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
use balsa_proto::etcd::mvccpb::event::EventType;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

use super::Shared;
use super::credentials::Credentials;
use super::gate::Gate;
use super::kv::KvService;
use super::lease::LeaseService;
use crate::error::Error;
use crate::limits::SESSION_TTL_SECONDS;
use crate::mvcc::prefix_end;
use crate::watch::{StreamOptions, WatchHub, WatchStream};

/// One client's hands. Cheap to clone.
#[derive(Clone)]
pub struct Turns {
    kv: KvService,
    lease: LeaseService,
    gate: Gate,
    hub: WatchHub,
    shutdown: CancellationToken,
    credentials: Credentials,
}

impl Turns {
    pub fn new(shared: &Shared) -> Self {
        Turns {
            kv: KvService::new(shared),
            lease: LeaseService::new(shared),
            gate: shared.gate.clone(),
            hub: shared.hub.clone(),
            shutdown: shared.shutdown.clone(),
            credentials: Credentials::default(),
        }
    }

    pub fn of<T>(&self, request: &Request<T>) -> Self {
        Turns { credentials: Credentials::of(request), ..self.clone() }
    }

    pub fn fill(&self, header: &mut Option<ResponseHeader>) {
        self.gate.identity.fill(header);
    }

    fn request<T>(&self, message: T) -> Request<T> {
        self.credentials.sign(Request::new(message))
    }

    /// The lease that the client gave, or one of a minute that nobody renews.
    pub async fn lease(&self, id: i64) -> Result<i64, Status> {
        if id != 0 {
            return Ok(id);
        }
        let grant = LeaseGrantRequest { ttl: SESSION_TTL_SECONDS, id: 0 };
        Ok(self.lease.lease_grant(self.request(grant)).await.map_err(unknown)?.into_inner().id)
    }

    pub async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Status> {
        Ok(self.kv.txn(self.request(request)).await.map_err(unknown)?.into_inner())
    }

    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        Ok(self.kv.range(self.request(request)).await.map_err(unknown)?.into_inner())
    }

    pub async fn delete(&self, key: Bytes) -> Result<Option<ResponseHeader>, Status> {
        let request = DeleteRangeRequest { key, ..DeleteRangeRequest::default() };
        Ok(self.kv.delete_range(self.request(request)).await.map_err(unknown)?.into_inner().header)
    }

    /// Returns once no key of the prefix is left that was created at or before `create_revision`.
    pub async fn wait_for_turn(&self, prefix: &Bytes, create_revision: i64) -> Result<(), Status> {
        loop {
            let newest = RangeRequest {
                max_create_revision: create_revision,
                ..first(prefix.clone(), SortOrder::Descend)
            };
            let found = self.range(newest).await?;
            let Some(before) = found.kvs.first() else { return Ok(()) };
            let from = found.header.map_or(0, |header| header.revision);
            self.wait_for_delete(&before.key, from).await?;
        }
    }

    async fn wait_for_delete(&self, key: &Bytes, from_revision: i64) -> Result<(), Status> {
        let mut watcher = self.watch(key.clone(), Bytes::new(), from_revision).await?;
        loop {
            let response = self.next(&mut watcher).await?;
            if response.events.iter().any(|event| event.r#type() == EventType::Delete) {
                return Ok(());
            }
        }
    }

    pub async fn watch(
        &self,
        key: Bytes,
        range_end: Bytes,
        start_revision: i64,
    ) -> Result<WatchStream, Status> {
        let readable = |permit: crate::auth::Permit<'_>| permit.read(&key, &range_end);
        self.gate.admit(&self.credentials, readable).await.map_err(|error| unknown(error.into()))?;
        let mut watcher = self.hub.stream(StreamOptions::default());
        let create = WatchCreateRequest { key, range_end, start_revision, ..WatchCreateRequest::default() };
        watcher.handle(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) });
        Ok(watcher)
    }

    /// The next response with events.
    pub async fn next(&self, watcher: &mut WatchStream) -> Result<WatchResponse, Status> {
        loop {
            let response = tokio::select! {
                biased;
                response = watcher.next() => response,
                () = self.shutdown.cancelled() => return Err(Error::Stopped.into()),
            };
            if response.canceled {
                return Err(unknown(Error::Compacted.into()));
            }
            if !response.events.is_empty() {
                return Ok(response);
            }
        }
    }
}

/// Stock etcd passes errors of its inner client on as plain text: the message stays, the code does not.
pub fn unknown(status: Status) -> Status {
    Status::new(Code::Unknown, status.message())
}

/// The key of a lease's place below `name/`.
pub fn place(name: &[u8], lease: i64) -> Bytes {
    let sign = if lease < 0 { "-" } else { "" };
    [&prefix(name)[..], format!("{sign}{:x}", lease.unsigned_abs()).as_bytes()].concat().into()
}

pub fn prefix(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

/// The first key of a prefix in the order of creation.
pub fn first(prefix: Bytes, order: SortOrder) -> RangeRequest {
    RangeRequest {
        range_end: prefix_end(&prefix).into(),
        key: prefix,
        limit: 1,
        sort_order: order as i32,
        sort_target: SortTarget::Create as i32,
        ..RangeRequest::default()
    }
}

/// Of a key that is not there the revision is 0.
pub fn created_at(key: Bytes, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Create as i32,
        key,
        target_union: Some(TargetUnion::CreateRevision(revision)),
        range_end: Bytes::new(),
    }
}

pub fn put(key: Bytes, value: Bytes, lease: i64) -> RequestOp {
    let request = PutRequest { key, value, lease, ..PutRequest::default() };
    RequestOp { request: Some(OpRequest::RequestPut(request)) }
}

pub fn get(request: RangeRequest) -> RequestOp {
    RequestOp { request: Some(OpRequest::RequestRange(request)) }
}

pub fn delete(key: Bytes) -> RequestOp {
    let request = DeleteRangeRequest { key, ..DeleteRangeRequest::default() };
    RequestOp { request: Some(OpRequest::RequestDeleteRange(request)) }
}

pub fn one(key: Bytes) -> RangeRequest {
    RangeRequest { key, ..RangeRequest::default() }
}

/// The keys that the operation at `index` found.
pub fn found(response: &TxnResponse, index: usize) -> &[balsa_proto::etcd::mvccpb::KeyValue] {
    match response.responses.get(index) {
        Some(ResponseOp { response: Some(OpResponse::ResponseRange(range)) }) => &range.kvs,
        _ => &[],
    }
}

pub fn revision(header: &Option<ResponseHeader>) -> i64 {
    header.as_ref().map_or(0, |header| header.revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_after_its_lease() {
        assert_eq!(place(b"lock", 10), "lock/a");
        assert_eq!(place(b"", 0x694d_77aa_9e38_260f), "/694d77aa9e38260f");
        assert_eq!(place(b"lock", -31), "lock/-1f");
    }
}
