//! What changed in the cache for one kind since the last look.
//!
//! Contract: after [`Tracker::changes`] returned, its caller has seen every object at the revision that it had
//! at some moment after the call began. Equal `last_change` means nothing to do, which is the usual case.

use std::collections::HashMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::cache::{CachedObject, Reader};
use crate::kinds::{self, Kind};

pub enum Change {
    Put(Arc<CachedObject>),
    Removed { namespace: SmolStr, name: SmolStr },
}

pub struct Tracker {
    kind: &'static Kind,
    seen_change: Option<u64>,
    /// Revision of each object by namespace and name.
    revisions: HashMap<(SmolStr, SmolStr), u64>,
}

impl Tracker {
    /// `plural` must be a served kind of version v1.
    pub fn new(group: &str, plural: &str) -> Self {
        let kind =
            kinds::lookup(group, "v1", plural).expect("the table of kinds holds every kind tracked here");
        Self { kind, seen_change: None, revisions: HashMap::new() }
    }

    pub fn is_current(&self, reader: &dyn Reader) -> bool {
        self.seen_change == Some(reader.last_change(self.kind))
    }

    pub fn changes(&mut self, reader: &dyn Reader) -> Vec<Change> {
        // Read before the listing: a change between the two is then seen twice, never missed.
        let last_change = reader.last_change(self.kind);
        if self.seen_change == Some(last_change) {
            return Vec::new();
        }
        let objects = reader.list(self.kind, "");
        let mut before = std::mem::take(&mut self.revisions);
        let mut changes = Vec::new();
        for object in objects {
            let key = (object.namespace.clone(), object.name.clone());
            let known = before.remove(&key);
            self.revisions.insert(key, object.revision);
            if known != Some(object.revision) {
                changes.push(Change::Put(object));
            }
        }
        changes.extend(before.into_keys().map(|(namespace, name)| Change::Removed { namespace, name }));
        self.seen_change = Some(last_change);
        changes
    }
}
