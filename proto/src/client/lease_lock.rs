//! Leader election by a `coordination.k8s.io/v1` Lease, as the stock components do it (15 s / 10 s / 2 s).
//!
//! ```text
//!  waiting ──lease free, expired, or ours──► leading ──renewal failed for 10 s──► lost
//! ```
//! Safety rests on bounded clock *rate* drift, not on equal clocks: expiry is judged by how long the same record has
//! been seen, on our own monotonic clock. A lost leader's token is cancelled before another can take over.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::api::Client;
use super::error::Error;

const LEASE_DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// A candidate for one lease.
pub struct LeaseLock {
    client: Client,
    namespace: String,
    name: String,
    identity: String,
    /// The record last seen, and since when it has not changed.
    observed: Option<(String, Instant)>,
}

impl LeaseLock {
    /// `identity` must be unique among candidates; one that survives a restart takes its own lease back at once.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            observed: None,
        }
    }

    /// Waits to lead, then runs `on_leading` with a token that is cancelled when leadership is lost or on shutdown.
    /// Returns when that future has ended; true if leadership was lost without a shutdown.
    pub async fn run<F, Fut>(mut self, on_leading: F, shutdown: CancellationToken) -> bool
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = ()>,
    {
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = self.acquire() => {}
        }
        tracing::info!(lease = %self.name, identity = %self.identity, "leading");
        let leading = shutdown.child_token();
        let work = on_leading(leading.clone());
        tokio::pin!(work);
        let (ended, lost) = tokio::select! {
            () = &mut work => (true, false),
            () = self.keep() => (false, !shutdown.is_cancelled()),
            () = shutdown.cancelled() => (false, false),
        };
        leading.cancel();
        if lost {
            tracing::warn!(lease = %self.name, "leadership lost");
        }
        if !ended {
            work.await;
        }
        if !lost {
            self.release().await;
        }
        lost
    }

    async fn acquire(&mut self) {
        loop {
            match self.try_take().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::debug!(lease = %self.name, %error, "cannot take the lease yet"),
            }
            tokio::time::sleep(RETRY_PERIOD).await;
        }
    }

    /// Returns when the lease could not be renewed within the deadline.
    async fn keep(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RETRY_PERIOD).await;
            let attempt = tokio::time::timeout_at(renewed + RENEW_DEADLINE, self.try_take()).await;
            match attempt {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return,
                Ok(Err(error)) if renewed.elapsed() < RENEW_DEADLINE => {
                    tracing::debug!(lease = %self.name, %error, "renewal failed; trying again");
                }
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// Takes or renews; false while another holds it.
    async fn try_take(&mut self) -> Result<bool, Error> {
        let present: Lease = match self.client.get(&self.namespace, &self.name).await {
            Ok(lease) => lease,
            Err(error) if error.is_not_found() => return self.create().await,
            Err(error) => return Err(error),
        };
        if !self.may_take(&present) {
            return Ok(false);
        }
        let mut lease = present.clone();
        lease.spec = Some(self.next_spec(present.spec.as_ref()));
        match self.client.update(&lease).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn create(&mut self) -> Result<bool, Error> {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            ..Default::default()
        };
        let lease = Lease { metadata, spec: Some(self.next_spec(None)) };
        match self.client.create(&lease).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn may_take(&mut self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or("");
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let duration = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
        let duration = u64::try_from(duration).map_or(LEASE_DURATION, Duration::from_secs);
        match &self.observed {
            Some((seen, since)) if *seen == version => since.elapsed() > duration,
            _ => {
                self.observed = Some((version, Instant::now()));
                false
            }
        }
    }

    fn next_spec(&self, present: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let held =
            present.is_some_and(|spec| spec.holder_identity.as_deref() == Some(self.identity.as_str()));
        let transitions = present.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: if held {
                present.and_then(|spec| spec.acquire_time.clone())
            } else {
                Some(now.clone())
            },
            renew_time: Some(now),
            lease_transitions: Some(if held || present.is_none() { transitions } else { transitions + 1 }),
            ..present.cloned().unwrap_or_default()
        }
    }

    /// Lets the next candidate in without a wait. Best effort: the lease expires anyway.
    async fn release(&mut self) {
        let Ok(mut lease) = self.client.get::<Lease>(&self.namespace, &self.name).await else { return };
        let Some(spec) = lease.spec.as_mut() else { return };
        if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
            return;
        }
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        if let Err(error) = self.client.update(&lease).await {
            tracing::debug!(lease = %self.name, %error, "lease not released; it will expire");
        }
    }
}
