//! Leases for objects that expire (events): one lease serves many objects, as in the stock apiserver, so that
//! a burst of events does not become a burst of leases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use balsa_proto::etcd::etcdserverpb::{LeaseGrantRequest, lease_client::LeaseClient};
use tokio::sync::Mutex;

use super::StoreError;
use super::members::Members;
use crate::limits;

pub(super) struct Leases {
    members: Arc<Members>,
    /// A tokio mutex: held across the grant, so that a burst of events makes one.
    current: Mutex<Option<Current>>,
}

struct Current {
    id: i64,
    granted: Instant,
    objects: u32,
}

impl Leases {
    pub(super) fn new(members: Arc<Members>) -> Leases {
        Leases { members, current: Mutex::new(None) }
    }

    /// A lease that lives at least the event TTL from now.
    pub(super) async fn for_event(&self) -> Result<i64, StoreError> {
        let mut current = self.current.lock().await;
        if let Some(lease) = current.as_mut().filter(|lease| lease.is_reusable()) {
            lease.objects += 1;
            return Ok(lease.id);
        }
        let id = self.grant(limits::EVENT_TTL + limits::LEASE_REUSE).await?;
        *current = Some(Current { id, granted: Instant::now(), objects: 1 });
        Ok(id)
    }

    /// A lease that nobody keeps alive.
    pub(super) async fn grant(&self, ttl: Duration) -> Result<i64, StoreError> {
        let request = LeaseGrantRequest { ttl: ttl.as_secs() as i64, id: 0 };
        // One that nobody heard of ends by itself.
        let call = |channel| async move { LeaseClient::new(channel).lease_grant(request).await };
        Ok(self.members.repeatable(call).await?.id)
    }

    /// Forgets a lease that etcd says is gone.
    pub(super) async fn forget(&self) {
        *self.current.lock().await = None;
    }
}

impl Current {
    fn is_reusable(&self) -> bool {
        self.objects < limits::LEASE_MAX_OBJECTS && self.granted.elapsed() < limits::LEASE_REUSE
    }
}
