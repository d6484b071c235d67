//! The apiserver's storage: an etcd v3 cluster, ours or stock, spoken to over gRPC alone.
//!
//! Each write is one Txn guarded by the key's mod revision (`txn`), which is the object's resourceVersion.
//! Claims (allocated addresses and ports) are keys made and removed in the same Txn as their owner, so that two
//! apiservers can never give one out twice. Shapes of the calls: the Kubernetes contract with etcd.

mod call;
mod compactor;
mod connect;
mod error;
mod lease;
mod members;
mod presence;
mod txn;
mod version;
mod watch;

#[cfg(test)]
mod members_test;

use std::sync::Arc;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

pub use compactor::Compactor;
pub use connect::{ConnectError, EtcdConfig, EtcdTls};
pub use error::StoreError;
pub use txn::{Claims, Guard};
pub use watch::Watch;

use crate::limits;
use members::{Members, Pace};

/// Cheap handle; all clones share one HTTP/2 connection to each member.
#[derive(Clone)]
pub struct Store {
    members: Arc<Members>,
    leases: Arc<lease::Leases>,
    /// `/registry/`
    prefix: Arc<str>,
}

/// A value and the revision it was written at.
#[derive(Debug, Clone)]
pub struct Stored {
    pub bytes: Bytes,
    pub revision: u64,
}

/// One page of a range.
pub struct Page {
    pub kvs: Vec<KeyValue>,
    pub more: bool,
    /// Keys from the start key on, this page included.
    pub count: u64,
    /// The store's revision when it answered.
    pub revision: u64,
}

impl Store {
    /// Connects lazily: fails only on addresses or certificates that can never work.
    pub fn connect(config: &EtcdConfig) -> Result<Store, ConnectError> {
        let pace = Pace { interval: limits::ETCD_SIGN_INTERVAL, patience: limits::ETCD_SIGN_PATIENCE };
        Ok(Store::of(Members::new(connect::endpoints(config)?, pace), &config.prefix))
    }

    fn of(members: Members, prefix: &str) -> Store {
        let members = Arc::new(members);
        let prefix = format!("/{}/", prefix.trim_matches('/')).into();
        Store { leases: Arc::new(lease::Leases::new(members.clone())), members, prefix }
    }

    /// Follows which members answer, until `shutdown`. Without it a silent member is noticed late.
    pub async fn watch_over(self, shutdown: CancellationToken) {
        self.members.watch_over(shutdown).await;
    }

    /// `/registry/`
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `/registry/<resource>[/<namespace>]/<name>`
    pub fn key(&self, resource_prefix: &str, namespace: &str, name: &str) -> String {
        if namespace.is_empty() {
            format!("{}{resource_prefix}/{name}", self.prefix)
        } else {
            format!("{}{resource_prefix}/{namespace}/{name}", self.prefix)
        }
    }

    /// Linearizable read of one key.
    pub async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let request = pb::RangeRequest { key: key.to_owned().into(), limit: 1, ..Default::default() };
        let mut response = self.range_call(request).await?;
        Ok(response.kvs.pop().map(stored))
    }

    /// The newest revision of the whole store, linearizable.
    pub async fn current_revision(&self) -> Result<u64, StoreError> {
        let key = format!("{}health", self.prefix);
        let request = pb::RangeRequest { key: key.into(), limit: 1, count_only: true, ..Default::default() };
        let response = self.range_call(request).await?;
        Ok(response.header.map_or(0, |header| header.revision as u64))
    }

    /// For health checks: that it answers, and soon.
    pub async fn check_health(&self) -> Result<(), StoreError> {
        let answer = tokio::time::timeout(limits::ETCD_HEALTH_TIMEOUT, self.current_revision());
        answer.await.map_err(|_| StoreError::Timeout)?.map(drop)
    }

    /// Keys in `[start, end)` in order; `revision` 0 means now.
    pub async fn range(
        &self,
        start: Vec<u8>,
        end: Vec<u8>,
        limit: i64,
        revision: u64,
    ) -> Result<Page, StoreError> {
        let request = pb::RangeRequest {
            key: start.into(),
            range_end: end.into(),
            limit,
            revision: revision as i64,
            ..Default::default()
        };
        let response = self.range_call(request).await?;
        Ok(Page {
            more: response.more,
            count: response.count as u64,
            revision: response.header.map_or(0, |header| header.revision as u64),
            kvs: response.kvs,
        })
    }

    async fn range_call(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, StoreError> {
        let call = |channel| {
            let request = request.clone();
            async move { kv(channel).range(request).await }
        };
        self.members.repeatable(call).await
    }

    async fn txn_call(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, StoreError> {
        let call = |channel| {
            let request = request.clone();
            async move { kv(channel).txn(request).await }
        };
        self.members.once(call).await
    }

    async fn put_call(&self, request: pb::PutRequest) -> Result<pb::PutResponse, StoreError> {
        let call = |channel| {
            let request = request.clone();
            async move { kv(channel).put(request).await }
        };
        self.members.once(call).await
    }
}

fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(usize::MAX)
}

/// A request that a member without a leader refuses instead of letting it wait.
fn wants_leader<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    request
}

fn stored(kv: KeyValue) -> Stored {
    Stored { bytes: kv.value, revision: kv.mod_revision as u64 }
}

/// First key after all keys with the prefix.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_end_is_the_next_prefix() {
        assert_eq!(prefix_end(b"/registry/"), b"/registry0");
        assert_eq!(prefix_end(&[1, 0xff]), [2]);
        assert_eq!(prefix_end(&[0xff]), [0]);
    }
}
