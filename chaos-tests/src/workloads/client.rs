//! A client bound to one member's endpoint: runs requests and records each of them.
//!
//! It connects before it asks, so that a member that is not there costs no `Unknown`: nothing was sent. After an error
//! it connects anew, as the old connection may lead to a member that is paused or cut off.

use std::time::Duration;

use anyhow::{Context, Result};
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use balsa_proto::etcd::etcdserverpb::{
    CompactionRequest, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, ResponseHeader,
};
use balsa_proto::etcd::v3lockpb::lock_client::LockClient;
use balsa_proto::etcd::v3lockpb::{LockRequest, UnlockRequest};
use bytes::Bytes;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};

use super::wire;
use crate::history::{Operation, Outcome, Record, Recorder, Reply, Request};

/// Name and client URL of a member, and what it takes to be let in.
#[derive(Clone, Debug)]
pub struct MemberEndpoint {
    pub name: String,
    pub url: String,
    pub tls: Option<ClientTlsConfig>,
}

impl MemberEndpoint {
    /// A connection, made before it is returned.
    pub async fn connect(&self, timeout: Duration) -> Result<Channel> {
        let url = &self.url;
        let mut endpoint =
            Endpoint::from_shared(url.clone()).context("parse the endpoint")?.connect_timeout(timeout);
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.clone()).context("use the certificates")?;
        }
        tokio::time::timeout(timeout, endpoint.connect())
            .await
            .with_context(|| format!("connect to {url}: not within {timeout:?}"))?
            .with_context(|| format!("connect to {url}"))
    }
}

pub struct Client {
    number: u32,
    member: MemberEndpoint,
    timeout: Duration,
    recorder: Recorder,
    channel: Option<Channel>,
}

impl Client {
    pub fn new(number: u32, member: MemberEndpoint, timeout: Duration, recorder: Recorder) -> Self {
        Self { number, member, timeout, recorder, channel: None }
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn member(&self) -> &MemberEndpoint {
        &self.member
    }

    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Runs the request and records it. Nothing is recorded, and `None` returned, if the member cannot be reached.
    pub async fn run(&mut self, request: Request) -> Option<Operation> {
        self.run_within(self.timeout, request).await
    }

    /// The same, for a request that may take its time.
    pub async fn run_within(&mut self, timeout: Duration, request: Request) -> Option<Operation> {
        let channel = self.channel().await?;
        let call_us = self.recorder.now_us();
        let answer = tokio::time::timeout(timeout, execute(channel, &request)).await;
        let return_us = self.recorder.now_us();
        let outcome = match answer {
            Ok(answer) => {
                if answer.as_ref().is_err_and(|status| !is_refusal(status)) {
                    self.channel = None;
                }
                outcome(&request, answer)
            }
            Err(_) => {
                self.channel = None;
                uncertain(&request, format!("no answer within {timeout:?}"))
            }
        };
        let operation = Operation {
            client: self.number,
            member: self.member.name.clone(),
            call_us,
            return_us,
            request,
            outcome,
        };
        self.recorder.record(Record::Operation(operation.clone())).await;
        Some(operation)
    }

    async fn channel(&mut self) -> Option<Channel> {
        if self.channel.is_none() {
            self.channel = self.member.connect(self.timeout).await.ok();
        }
        self.channel.clone()
    }
}

/// What an answer says of a request.
pub fn outcome(request: &Request, answer: Result<(Option<ResponseHeader>, Reply), Status>) -> Outcome {
    match answer {
        Ok((header, reply)) => Outcome::Ok { revision: header.map_or(0, |header| header.revision), reply },
        Err(status) => {
            let error = format!("{:?}: {}", status.code(), status.message());
            if is_refusal(&status) { Outcome::Fail { error } } else { uncertain(request, error) }
        }
    }
}

fn uncertain(request: &Request, error: String) -> Outcome {
    if request.writes() { Outcome::Unknown { error } } else { Outcome::Fail { error } }
}

/// Codes that a store gives only before it has proposed the request. All others leave it open whether the request was
/// committed: a leader that is deposed answers `Unavailable`, and its successor may still commit what it had sent.
fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::ResourceExhausted
            | Code::Unimplemented
            | Code::PermissionDenied
            | Code::Unauthenticated
    )
}

/// Runs a request over any channel.
pub async fn execute<C>(channel: C, request: &Request) -> Result<(Option<ResponseHeader>, Reply), Status>
where
    C: GrpcService<Body>,
    C::Error: Into<StdError>,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    match request {
        Request::Get { key, serializable } => {
            let range = KvClient::new(channel).range(wire::get(key, *serializable)).await?.into_inner();
            Ok((range.header, wire::range_reply(range)))
        }
        Request::List { prefix, revision, serializable } => {
            let list = wire::list(prefix, *revision, *serializable);
            let range = KvClient::new(channel).range(list).await?.into_inner();
            Ok((range.header, wire::range_reply(range)))
        }
        Request::Put { key, value, lease } => {
            let put = KvClient::new(channel).put(wire::put(key, value, *lease)).await?.into_inner();
            Ok((put.header, Reply::Put))
        }
        Request::Delete { key } => {
            let delete = KvClient::new(channel).delete_range(wire::delete(key)).await?.into_inner();
            Ok((delete.header, Reply::Delete { deleted: delete.deleted }))
        }
        Request::Txn { compare, success, failure } => {
            let txn = KvClient::new(channel).txn(wire::txn(compare, success, failure)).await?.into_inner();
            Ok((txn.header, wire::txn_reply(txn)))
        }
        Request::Compact { revision } => {
            let compaction = CompactionRequest { revision: *revision, physical: false };
            Ok((KvClient::new(channel).compact(compaction).await?.into_inner().header, Reply::Compact))
        }
        Request::LeaseGrant { id, ttl_seconds } => {
            let grant = LeaseGrantRequest { id: *id, ttl: *ttl_seconds };
            let lease = LeaseClient::new(channel).lease_grant(grant).await?.into_inner();
            Ok((lease.header, Reply::Lease { id: lease.id, ttl_seconds: lease.ttl }))
        }
        Request::LeaseKeepAlive { id } => keep_alive(channel, *id).await,
        Request::LeaseRevoke { id } => {
            let revoke = LeaseRevokeRequest { id: *id };
            let lease = LeaseClient::new(channel).lease_revoke(revoke).await?.into_inner();
            Ok((lease.header, Reply::Lease { id: *id, ttl_seconds: 0 }))
        }
        Request::Lock { name, lease } => {
            let lock = LockRequest { name: name.as_bytes().to_vec().into(), lease: *lease };
            let held = LockClient::new(channel).lock(lock).await?.into_inner();
            Ok((held.header, Reply::Lock { key: String::from_utf8_lossy(&held.key).into_owned() }))
        }
        Request::Unlock { key } => {
            let unlock = UnlockRequest { key: key.as_bytes().to_vec().into() };
            Ok((LockClient::new(channel).unlock(unlock).await?.into_inner().header, Reply::Unlock))
        }
    }
}

/// One keep-alive on a stream of its own. An answer with TTL 0 says that the lease is gone.
async fn keep_alive<C>(channel: C, id: i64) -> Result<(Option<ResponseHeader>, Reply), Status>
where
    C: GrpcService<Body>,
    C::Error: Into<StdError>,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    let request = tokio_stream::once(LeaseKeepAliveRequest { id });
    let mut answers = LeaseClient::new(channel).lease_keep_alive(request).await?.into_inner();
    let answer =
        answers.message().await?.ok_or_else(|| Status::unavailable("the stream ended without an answer"))?;
    Ok((answer.header, Reply::Lease { id, ttl_seconds: answer.ttl }))
}
