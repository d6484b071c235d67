//! Findings: answers to the look-ups that plans asked for, since no watch tells them.
//!
//! In: the actor, after a live request or a failed create. Out: the next plan of the same key. Bounded: an absent owner is remembered for a
//! while, the content of a namespace until the namespace is gone.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use parking_lot::RwLock;

use crate::limits::ABSENT_OWNERS_REMEMBERED;

#[derive(Default)]
pub struct Findings {
    owners: RwLock<HashMap<String, Existence>>,
    nodes: RwLock<HashMap<String, Existence>>,
    creates: RwLock<HashMap<String, String>>,
    namespaces: RwLock<HashMap<String, NamespaceContent>>,
    namespace_signs: RwLock<HashMap<String, Timestamp>>,
}

/// Whether an object exists. The absence of a uid is final, since uids are never used again; all else is of that moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Existence {
    pub exists: bool,
    pub at: Timestamp,
}

/// What was left in a terminating namespace after deleting everything that could be deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceContent {
    /// When the count began.
    pub at: Timestamp,
    /// Instances by resource, as `pods.` or `deployments.apps`.
    pub remaining: BTreeMap<String, usize>,
    /// Instances by the finalizer that holds them.
    pub finalizers: BTreeMap<String, usize>,
    /// Longest grace period among the remaining pods.
    pub longest_grace_seconds: i64,
    pub discovery_failure: Option<String>,
    pub delete_failures: Vec<String>,
}

impl NamespaceContent {
    pub fn is_empty(&self) -> bool {
        self.remaining.is_empty() && self.discovery_failure.is_none() && self.delete_failures.is_empty()
    }
}

impl Findings {
    pub fn owner(&self, uid: &str) -> Option<Existence> {
        self.owners.read().get(uid).copied()
    }

    pub fn set_owner(&self, uid: &str, finding: Existence) {
        let mut owners = self.owners.write();
        if owners.len() >= ABSENT_OWNERS_REMEMBERED {
            // Forgetting costs one live request each, no more.
            owners.clear();
        }
        owners.insert(uid.to_owned(), finding);
    }

    pub fn node(&self, name: &str) -> Option<Existence> {
        self.nodes.read().get(name).copied()
    }

    pub fn set_node(&self, name: &str, finding: Existence) {
        self.nodes.write().insert(name.to_owned(), finding);
    }

    pub fn forget_node(&self, name: &str) {
        self.nodes.write().remove(name);
    }

    /// Why the last create for this owner failed, if it did.
    pub fn create_failure(&self, owner_uid: &str) -> Option<String> {
        self.creates.read().get(owner_uid).cloned()
    }

    pub fn set_create_failure(&self, owner_uid: &str, message: Option<String>) {
        match message {
            Some(message) => drop(self.creates.write().insert(owner_uid.to_owned(), message)),
            None if self.creates.read().is_empty() => {}
            None => drop(self.creates.write().remove(owner_uid)),
        }
    }

    pub fn namespace(&self, uid: &str) -> Option<NamespaceContent> {
        self.namespaces.read().get(uid).cloned()
    }

    pub fn set_namespace(&self, uid: &str, content: NamespaceContent) {
        self.namespaces.write().insert(uid.to_owned(), content);
    }

    /// When something was last seen to go from a terminating namespace.
    pub fn namespace_sign(&self, uid: &str) -> Option<Timestamp> {
        self.namespace_signs.read().get(uid).copied()
    }

    pub fn sign_namespace(&self, uid: &str, at: Timestamp) {
        self.namespace_signs.write().insert(uid.to_owned(), at);
    }

    pub fn forget_namespace(&self, uid: &str) {
        self.namespaces.write().remove(uid);
        self.namespace_signs.write().remove(uid);
    }
}
