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
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::wire;
use crate::history::{Operation, Outcome, Record, Recorder, Reply, Request};

/// Name and client URL of a member.
#[derive(Clone, Debug)]
pub struct MemberEndpoint {
    pub name: String,
    pub url: String,
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
        let channel = self.channel().await?;
        let call_us = self.recorder.now_us();
        let answer = tokio::time::timeout(self.timeout, execute(channel, &request)).await;
        let return_us = self.recorder.now_us();
        let outcome = match answer {
            Ok(Ok((header, reply))) => {
                Outcome::Ok { revision: header.map_or(0, |header| header.revision), reply }
            }
            Ok(Err(status)) => self.refused(&request, &status),
            Err(_) => {
                self.channel = None;
                uncertain(&request, format!("no answer within {:?}", self.timeout))
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

    fn refused(&mut self, request: &Request, status: &Status) -> Outcome {
        let error = format!("{:?}: {}", status.code(), status.message());
        if is_refusal(status) {
            return Outcome::Fail { error };
        }
        self.channel = None;
        uncertain(request, error)
    }

    async fn channel(&mut self) -> Option<Channel> {
        if self.channel.is_none() {
            self.channel = connect(&self.member.url, self.timeout).await.ok();
        }
        self.channel.clone()
    }
}

/// A connection, made before it is returned.
pub async fn connect(url: &str, timeout: Duration) -> Result<Channel> {
    let endpoint =
        Endpoint::from_shared(url.to_owned()).context("parse the endpoint")?.connect_timeout(timeout);
    tokio::time::timeout(timeout, endpoint.connect())
        .await
        .with_context(|| format!("connect to {url}: not within {timeout:?}"))?
        .with_context(|| format!("connect to {url}"))
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

async fn execute(channel: Channel, request: &Request) -> Result<(Option<ResponseHeader>, Reply), Status> {
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
    }
}

/// One keep-alive on a stream of its own. An answer with TTL 0 says that the lease is gone.
async fn keep_alive(channel: Channel, id: i64) -> Result<(Option<ResponseHeader>, Reply), Status> {
    let request = tokio_stream::once(LeaseKeepAliveRequest { id });
    let mut answers = LeaseClient::new(channel).lease_keep_alive(request).await?.into_inner();
    let answer =
        answers.message().await?.ok_or_else(|| Status::unavailable("the stream ended without an answer"))?;
    Ok((answer.header, Reply::Lease { id, ttl_seconds: answer.ttl }))
}
