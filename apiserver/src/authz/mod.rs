//! Who may do what: superusers, then the Node authorizer, then RBAC; the first yes wins.
//!
//! In: a [`User`] and a [`RequestInfo`]. Out: a [`Decision`], or ([`Authorizer::require`]) the stock 403.
//! Rules come from the cache. Before each check the revisions of the last change to roles, bindings and pods
//! are compared with those already indexed, and only objects that changed are read again, so that a check costs
//! microseconds and a revoked right is gone with the revision that revoked it.

mod attributes;
pub mod bootstrap;
mod escalation;
mod index;
mod node;
mod node_graph;
mod rbac;
mod review;
mod rule;
mod signer;
mod text;
mod track;

#[cfg(test)]
mod authz_test;
#[cfg(test)]
pub(crate) mod fake;

use std::sync::Arc;

pub use self::escalation::check_escalation;
pub use self::rbac::service_account_user;
pub use self::rule::Rule;
pub use self::signer::check_signer;

use self::index::Index;
use crate::cache::Reader;
use crate::error::ApiError;
use crate::request::{GROUP_MASTERS, RequestInfo, User};

/// `reason` says which binding allowed, or why nothing did; often empty for a no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: String,
}

impl Decision {
    fn yes(reason: impl Into<String>) -> Self {
        Self { allowed: true, reason: reason.into() }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Authorizer {
    reader: Arc<dyn Reader>,
    index: Arc<Index>,
}

impl Authorizer {
    pub fn new(reader: Arc<dyn Reader>) -> Self {
        Self { reader, index: Arc::new(Index::new()) }
    }

    pub fn authorize(&self, user: &User, request: &RequestInfo) -> Decision {
        if user.in_group(GROUP_MASTERS) {
            return Decision::yes("");
        }
        let mut reasons = Vec::new();
        if let Some(node_name) = node::name_of(user) {
            match node::check(self, node_name, request) {
                Ok(()) => return Decision::yes(""),
                Err(reason) if reason.is_empty() => {}
                Err(reason) => reasons.push(reason),
            }
        }
        let verdict = self.index.rbac(self.reader.as_ref(), |rbac| rbac.check(user, request));
        if verdict.allowed {
            return Decision::yes(verdict.reason);
        }
        if !verdict.reason.is_empty() {
            reasons.push(verdict.reason);
        }
        Decision { allowed: false, reason: reasons.join("\n") }
    }

    /// The stock 403 unless allowed.
    pub fn require(&self, user: &User, request: &RequestInfo) -> Result<(), ApiError> {
        let decision = self.authorize(user, request);
        if decision.allowed { Ok(()) } else { Err(text::forbidden(user, request, &decision.reason)) }
    }
}
