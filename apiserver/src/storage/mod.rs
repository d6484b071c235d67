//! The apiserver's storage: an etcd v3 cluster, ours or stock, spoken to over gRPC alone.
//!
//! Each write is one Txn guarded by the key's mod revision (`txn`), which is the object's resourceVersion.
//! Claims (allocated addresses and ports) are keys made and removed in the same Txn as their owner, so that two
//! apiservers can never give one out twice. Shapes of the calls: the Kubernetes contract with etcd.

mod compactor;
mod connect;
mod error;
mod lease;
mod presence;
mod txn;
mod version;

use std::sync::Arc;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::{
    kv_client::KvClient, lease_client::LeaseClient, maintenance_client::MaintenanceClient,
    watch_client::WatchClient,
};
use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;
use tonic::transport::Channel;

pub use compactor::Compactor;
pub use connect::{ConnectError, EtcdConfig, EtcdTls};
pub use error::StoreError;
pub use txn::{Claims, Guard};

use crate::limits;

/// Cheap handle; all clones share one HTTP/2 channel.
#[derive(Clone)]
pub struct Store {
    kv: KvClient<Channel>,
    watch: WatchClient<Channel>,
    maintenance: MaintenanceClient<Channel>,
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
        let channel = connect::channel(config)?;
        let prefix: Arc<str> = format!("/{}/", config.prefix.trim_matches('/')).into();
        let kv = KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
        let watch = WatchClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
        let maintenance = MaintenanceClient::new(channel.clone());
        let leases = Arc::new(lease::Leases::new(LeaseClient::new(channel)));
        Ok(Store { kv, watch, maintenance, leases, prefix })
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

    /// Opens a watch stream; the caller drives it by `requests`.
    pub async fn watch(
        &self,
        requests: impl tokio_stream::Stream<Item = pb::WatchRequest> + Send + 'static,
    ) -> Result<tonic::Streaming<pb::WatchResponse>, tonic::Status> {
        let mut request = tonic::Request::new(requests);
        // Without a leader the stream is cut instead of going silent.
        request.metadata_mut().insert("hasleader", tonic::metadata::MetadataValue::from_static("true"));
        Ok(self.watch.clone().watch(request).await?.into_inner())
    }

    /// Reads are safe to repeat on another member.
    async fn range_call(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, StoreError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut kv = self.kv.clone();
            let call = kv.range(request.clone());
            let error = match tokio::time::timeout(limits::ETCD_CALL_TIMEOUT, call).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => StoreError::from(status),
                Err(_) => return Err(StoreError::Timeout),
            };
            if attempt > limits::ETCD_READ_RETRIES || !matches!(error, StoreError::Unavailable(_)) {
                return Err(error);
            }
            tokio::time::sleep(limits::RECONNECT_DELAY).await;
        }
    }
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
