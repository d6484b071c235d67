//! A place in a queue under a prefix: the oldest key owns the lock, or is the leader.
//!
//! The key is `PREFIX/LEASE` (hexadecimal) and hangs on the caller's lease, so that who dies leaves the queue. Waiting is for
//! the key just before one's own, so that a leaving owner wakes one waiter and not all. Layout as in stock
//! `client/v3/concurrency`, whose locks and elections share a queue with these.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::connect::{self, Connection};
use super::failure::Failure;
use super::flags::Flags;
use crate::mvcc::prefix_end;

pub struct Place {
    kv: KvClient<Connection>,
    watch: WatchClient<Connection>,
    prefix: Bytes,
    key: Bytes,
    /// When the key was made: the place in the queue.
    revision: i64,
}

impl Place {
    /// Enters the queue, or finds the place that this lease has in it.
    pub async fn take(
        flags: &Flags,
        connection: Connection,
        name: &str,
        lease: i64,
        value: &str,
    ) -> Result<Self, Failure> {
        let prefix = Bytes::from(format!("{name}/"));
        let key = Bytes::from(format!("{name}/{lease:x}"));
        let mut kv = connect::kv(flags, connection.clone());
        let put = pb::PutRequest {
            key: key.clone(),
            value: Bytes::copy_from_slice(value.as_bytes()),
            lease,
            ..pb::PutRequest::default()
        };
        let get = pb::RangeRequest { key: key.clone(), ..pb::RangeRequest::default() };
        let request = pb::TxnRequest {
            compare: vec![pb::Compare {
                target: pb::compare::CompareTarget::Create as i32,
                key: key.clone(),
                target_union: Some(pb::compare::TargetUnion::CreateRevision(0)),
                ..pb::Compare::default()
            }],
            success: vec![op(Request::RequestPut(put))],
            failure: vec![op(Request::RequestRange(get))],
        };
        let answer = connect::ask(flags, kv.txn(request)).await?;
        let revision = match answer.responses.first().and_then(|op| op.response.as_ref()) {
            Some(pb::response_op::Response::ResponseRange(found)) => {
                found.kvs.first().map_or(0, |kv| kv.create_revision)
            }
            _ => answer.header.as_ref().map_or(0, |header| header.revision),
        };
        let watch = connect::watch(flags, connection);
        Ok(Self { kv, watch, prefix, key, revision })
    }

    pub fn key(&self) -> &Bytes {
        &self.key
    }

    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Until nobody is before this place.
    pub async fn turn(&mut self) -> Result<(), Failure> {
        loop {
            let request = pb::RangeRequest {
                key: self.prefix.clone(),
                range_end: prefix_end(&self.prefix).into(),
                limit: 1,
                max_create_revision: self.revision - 1,
                sort_order: SortOrder::Descend as i32,
                sort_target: SortTarget::Create as i32,
                ..pb::RangeRequest::default()
            };
            let answer = self.kv.range(request).await?.into_inner();
            let Some(before) = answer.kvs.into_iter().next() else { return Ok(()) };
            let seen = answer.header.as_ref().map_or(0, |header| header.revision);
            self.until_gone(before.key, seen + 1).await?;
        }
    }

    async fn until_gone(&mut self, key: Bytes, start_revision: i64) -> Result<(), Failure> {
        let create = pb::WatchCreateRequest { key, start_revision, ..pb::WatchCreateRequest::default() };
        let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let (requests, stream) = mpsc::channel(1);
        // The channel is empty and its reader is at hand.
        let _ = requests.send(request).await;
        let mut answers = self.watch.watch(ReceiverStream::new(stream)).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            let gone = answer.events.iter().any(|event| event.r#type != 0);
            // Compacted under our feet: looking at the queue again tells what was missed.
            if gone || answer.canceled {
                return Ok(());
            }
        }
        Err(Failure::error("the server ended the watch for the place before"))
    }

    /// The key as it is now.
    pub async fn look(&mut self, flags: &Flags) -> Result<pb::RangeResponse, Failure> {
        let request = pb::RangeRequest { key: self.key.clone(), ..pb::RangeRequest::default() };
        connect::ask(flags, self.kv.range(request)).await
    }

    /// Leaves the queue.
    pub async fn leave(&mut self, flags: &Flags) -> Result<(), Failure> {
        let request = pb::DeleteRangeRequest { key: self.key.clone(), ..pb::DeleteRangeRequest::default() };
        connect::ask(flags, self.kv.delete_range(request)).await.map(drop)
    }
}

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}
