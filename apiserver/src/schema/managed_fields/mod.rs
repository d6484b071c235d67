//! Who set which field: server-side apply and the bookkeeping of all other writers.
//!
//! `metadata.managedFields` holds one entry per manager, operation, API version and subresource. [`apply`] merges a
//! configuration by schema, takes out what this manager applied before and no longer does, and refuses to take
//! fields from others unless forced. [`update`] records what a plain write changed.
//! Invariants: an unchanged object keeps its entries byte for byte (no write at a fixpoint); a field that changes
//! belongs afterwards to the writer alone; a field that is gone belongs to nobody.
//! Source: KEP-555, sigs.k8s.io/structured-merge-diff, k8s.io/apimachinery `util/managedfields` (behaviour, not code).

mod apply;
mod update;

mod conflict;
mod entries;
mod last_applied;
mod ownership;
mod prune;
mod validate;

mod compare;
mod extract;
mod merge;
mod path;
mod remove;
mod set;
mod shape;

#[cfg(test)]
mod managed_fields_test;

pub use apply::{apply, apply_body};
pub use update::update;

use jiff::Timestamp;

use self::set::Set;
use crate::schema::Typed;

/// How a manager wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Apply,
    Update,
}

/// The writer of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// `fieldManager`, or the first word of the user agent.
    pub name: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// Of the request's path: `apps/v1`.
    pub api_version: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// RFC 3339.
    pub time: String,
}

impl Manager {
    fn operation(&self) -> Operation {
        if self.operation == "Apply" { Operation::Apply } else { Operation::Update }
    }

    fn time(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

/// Bookkeeping that nobody manages.
const UNTRACKED_METADATA: &[&str] = &[
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

/// Takes bookkeeping out of a set.
fn without_bookkeeping(set: &Set) -> Set {
    let mut unwanted = Set::default();
    for field in ["apiVersion", "kind", "metadata"] {
        unwanted.insert(&[path::Step::field(field)]);
    }
    for field in UNTRACKED_METADATA {
        unwanted.insert(&[path::Step::field("metadata"), path::Step::field(field)]);
    }
    set.difference(&unwanted)
}

/// The part of the object that a request of this sort cannot change: status through the object, spec through status.
fn unwritable(ty: Typed<'_>, subresource: &str) -> Option<&'static str> {
    match subresource {
        "" if ty.field("status").is_some() => Some("status"),
        "status" => Some("spec"),
        _ => None,
    }
}
