//! Admission: what is changed or refused after authorization and before validation, in the stock order.
//!
//! In: the request's words, the object in stored form, and the cache. Out: the object with what the cluster adds
//! to it, or one error. Nothing here writes; a plugin may wait a moment for the cache to see what another
//! request has just made. Left out on purpose until they act: webhooks, policies, quota, pod security.

mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod priority;
mod service_account;
mod signing_request;
mod taint_nodes;
mod toleration_seconds;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::cache::{CachedObject, Reader};
use crate::error::{ApiError, GroupResource};
use crate::kinds::{self, Kind};
use crate::request::User;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// The request as admission sees it.
pub struct AdmissionContext<'a> {
    pub operation: Operation,
    /// As addressed by the client; the object is in the form of `kind.stored()`.
    pub kind: &'static Kind,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub user: &'a User,
    pub dry_run: bool,
    pub reader: &'a dyn Reader,
}

impl AdmissionContext<'_> {
    fn is(&self, group: &str, plural: &str) -> bool {
        self.kind.plural == plural && self.kind.group == group
    }

    /// The making of a pod itself, not of something under it.
    fn creates_pod(&self) -> bool {
        self.operation == Operation::Create && self.subresource.is_empty() && self.is("", "pods")
    }

    fn forbidden(&self, why: &str) -> ApiError {
        ApiError::forbidden(&GroupResource::new(self.kind.group, self.kind.plural), self.name, why)
    }

    fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<CachedObject>> {
        self.reader.get(kinds::lookup_resource(group, plural)?, namespace, name)
    }

    fn list(&self, group: &str, plural: &str, namespace: &str) -> Vec<Arc<CachedObject>> {
        kinds::lookup_resource(group, plural).map_or_else(Vec::new, |kind| self.reader.list(kind, namespace))
    }

    /// As `get`, for what may have been made moments ago and not have reached the cache.
    async fn wait_for(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        patience: Patience,
    ) -> Option<Arc<CachedObject>> {
        for _ in 1..patience.attempts {
            if let Some(found) = self.get("", plural, namespace, name) {
                return Some(found);
            }
            tokio::time::sleep(patience.interval).await;
        }
        self.get("", plural, namespace, name)
    }
}

/// How long a lookup waits for the cache.
struct Patience {
    attempts: u32,
    interval: Duration,
}

/// Runs every plugin that the request concerns.
pub async fn admit(
    ctx: &AdmissionContext<'_>,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    namespace_lifecycle::admit(ctx).await?;
    limit_ranger::admit(ctx, object)?;
    service_account::admit(ctx, object).await?;
    node_restriction::admit(ctx, object, old)?;
    taint_nodes::admit(ctx, object);
    priority::admit(ctx, object)?;
    toleration_seconds::admit(ctx, object);
    signing_request::admit(ctx, object);
    Ok(())
}

#[cfg(test)]
pub(crate) mod admission_test;
