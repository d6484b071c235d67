//! Which apiservers live: each keeps a key below `masterleases/` that expires with its lease, as the stock one does.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;

use super::{Store, StoreError, kv, prefix_end};

impl Store {
    /// Says that the server at `address` lives, until `ttl` is over.
    pub async fn show_presence(&self, address: &str, ttl: Duration) -> Result<(), StoreError> {
        let lease = self.leases.grant(ttl).await?;
        let key = self.presence_key(address).into();
        let request = pb::PutRequest { key, value: Bytes::new(), lease, ..Default::default() };
        self.put_call(request).await?;
        Ok(())
    }

    pub async fn end_presence(&self, address: &str) -> Result<(), StoreError> {
        let key = self.presence_key(address).into();
        let request = pb::DeleteRangeRequest { key, ..Default::default() };
        let call = |channel| {
            let request = request.clone();
            async move { kv(channel).delete_range(request).await }
        };
        self.members.once(call).await?;
        Ok(())
    }

    /// Addresses of the servers that live, in order.
    pub async fn present(&self) -> Result<Vec<String>, StoreError> {
        let prefix = self.presence_key("");
        let end = prefix_end(prefix.as_bytes());
        let page = self.range(prefix.clone().into_bytes(), end, 0, 0).await?;
        let address = |key: &Bytes| Some(String::from_utf8_lossy(key).strip_prefix(&prefix)?.to_owned());
        Ok(page.kvs.iter().filter_map(|kv| address(&kv.key)).collect())
    }

    fn presence_key(&self, address: &str) -> String {
        format!("{}masterleases/{address}", self.prefix())
    }
}
