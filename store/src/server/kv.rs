//! `etcdserverpb.KV`: checks what needs no state, then reads here or proposes.

use std::time::Instant;

use balsa_proto::etcd::etcdserverpb::kv_server::Kv;
use balsa_proto::etcd::etcdserverpb::request_op::Request as OpRequest;
use balsa_proto::etcd::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, RangeStreamResponse, ResponseHeader, TxnRequest, TxnResponse,
};
use balsa_proto::store::command::Op;
use bytes::BytesMut;
use futures::stream::BoxStream;
use prost::Message;
use tonic::{Request, Response, Status};

use super::Shared;
use super::credentials::Credentials;
use super::gate::Gate;
use super::quota::Quota;
use super::range_stream;
use crate::apply::{Reply, check, txn};
use crate::auth::Caller;
use crate::error::Error;
use crate::host;
use crate::mvcc::Mvcc;
use crate::status::Identity;

/// What etcd counts beside a request itself: the header of its log entry with an id of 10 bytes. (An id of its own has a byte
/// less on every second member, and so that member takes a request that is a byte longer.)
const ENTRY_HEADER_BYTES: usize = 14;

/// Cheap to clone.
#[derive(Clone)]
pub struct KvService {
    identity: Identity,
    gate: Gate,
    quota: Quota,
    max_request_bytes: usize,
    max_txn_ops: usize,
}

impl KvService {
    pub fn new(shared: &Shared) -> Self {
        let Shared { identity, gate, quota, max_request_bytes, max_txn_ops, .. } = shared;
        KvService {
            identity: identity.clone(),
            gate: gate.clone(),
            quota: quota.clone(),
            max_request_bytes: *max_request_bytes,
            max_txn_ops: *max_txn_ops,
        }
    }

    async fn propose(&self, credentials: &Credentials, op: Op, request_bytes: usize) -> Result<Reply, Error> {
        let field_bytes = 1 + prost::length_delimiter_len(request_bytes) + request_bytes;
        if ENTRY_HEADER_BYTES + field_bytes > self.max_request_bytes {
            return Err(Error::RequestTooLarge);
        }
        self.quota.admit(&op).await?;
        self.gate.propose(credentials, op).await
    }

    /// The reply as bytes behind `room_bytes`: what the gRPC port serves (see [`super::range_door`]).
    pub async fn range_wire(
        &self,
        request: Request<RangeRequest>,
        room_bytes: usize,
    ) -> Result<BytesMut, Status> {
        let base = self.identity.header();
        let header = move |revision| ResponseHeader { revision, ..base };
        let read = move |mvcc: &Mvcc, request: &RangeRequest| mvcc.range_wire(request, header, room_bytes);
        self.read_range(request, read).await
    }

    /// Every range of the service passes here: checks first, then the barrier, then the permission. What may be read now,
    /// and by whom.
    async fn admit_range(&self, request: Request<RangeRequest>) -> Result<(RangeRequest, Caller), Error> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        check::range(&request)?;
        if !request.serializable {
            if self.identity.is_learner() {
                return Err(Error::NotSupportedForLearner);
            }
            self.identity.consensus.read_barrier().await?;
        }
        let caller = self.gate.caller(&credentials).await?;
        self.gate.ask(&caller, |permit| permit.range(&request))?;
        Ok((request, caller))
    }

    async fn read_range<T: Send + 'static>(
        &self,
        request: Request<RangeRequest>,
        read: impl FnOnce(&Mvcc, &RangeRequest) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Status> {
        let (request, caller) = self.admit_range(request).await?;
        // The index counts what lives now; whatever else has a range looks at the disk for each key.
        let counts_only = request.count_only && request.revision <= 0;
        let many_keys = !request.range_end.is_empty() && !counts_only;
        let began = Instant::now();
        let answer = self.read(many_keys, move |mvcc| read(mvcc, &request)).await;
        self.identity.consensus.metrics().range_seconds.observe(answer.is_ok(), began.elapsed());
        let answer = answer?;
        self.gate.unchanged(&caller)?;
        Ok(answer)
    }

    /// Readers of many keys may wait for the disk for long, and do so away from the async workers.
    async fn read<T: Send + 'static>(
        &self,
        many_keys: bool,
        read: impl FnOnce(&Mvcc) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if !many_keys {
            return read(&self.identity.mvcc);
        }
        let mvcc = self.identity.mvcc.clone();
        host::spawn_blocking(move || read(&mvcc)).await.unwrap_or(Err(Error::Stopped))
    }
}

/// A reply of another kind than the command's would be a bug of apply.
fn mismatch(reply: Reply) -> ! {
    panic!("apply answered a command with {reply:?}")
}

#[tonic::async_trait]
impl Kv for KvService {
    type RangeStreamStream = BoxStream<'static, Result<RangeStreamResponse, Status>>;

    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let mut response = self.read_range(request, |mvcc, request| mvcc.range(request)).await?;
        self.identity.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn range_stream(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let (request, _) = self.admit_range(request).await?;
        range_stream::check(&request)?;
        let chunks = range_stream::chunks(self.identity.clone(), request, self.max_request_bytes);
        Ok(Response::new(Box::pin(chunks)))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        check::put(&request)?;
        let request_bytes = request.encoded_len();
        match self.propose(&credentials, Op::Put(request), request_bytes).await? {
            Reply::Put(mut response) => {
                self.identity.fill(&mut response.header);
                Ok(Response::new(response))
            }
            other => mismatch(other),
        }
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        check::delete_range(&request)?;
        let request_bytes = request.encoded_len();
        match self.propose(&credentials, Op::DeleteRange(request), request_bytes).await? {
            Reply::DeleteRange(mut response) => {
                self.identity.fill(&mut response.header);
                Ok(Response::new(response))
            }
            other => mismatch(other),
        }
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        check::txn(&request, self.max_txn_ops)?;
        let mut response = if txn::is_read_only(&request) {
            if !all_serializable(&request) {
                self.identity.consensus.read_barrier().await?;
            }
            let caller = self.gate.caller(&credentials).await?;
            self.gate.ask(&caller, |permit| permit.txn(&request, &self.gate.lessor))?;
            let response = self.read(true, move |mvcc| mvcc.txn_read_only(&request)).await?;
            self.gate.unchanged(&caller)?;
            response
        } else {
            let request_bytes = request.encoded_len();
            match self.propose(&credentials, Op::Txn(request), request_bytes).await? {
                Reply::Txn(response) => response,
                other => mismatch(other),
            }
        };
        self.identity.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        let (physical, revision) = (request.physical, request.revision);
        match self.propose(&credentials, Op::Compaction(request), 0).await? {
            Reply::Compaction(mut response) => {
                if physical {
                    self.identity.mvcc.compaction_removed(revision).await;
                }
                self.identity.fill(&mut response.header);
                Ok(Response::new(response))
            }
            other => mismatch(other),
        }
    }
}

/// A read-only transaction is local if each of its ranges is.
fn all_serializable(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).all(|op| match &op.request {
        Some(OpRequest::RequestRange(range)) => range.serializable,
        Some(OpRequest::RequestTxn(inner)) => all_serializable(inner),
        Some(OpRequest::RequestPut(_) | OpRequest::RequestDeleteRange(_)) | None => false,
    })
}
