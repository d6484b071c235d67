//! The owner graph: metadata of every object of every kind that can be listed, watched and deleted.
//!
//! In: one metadata reflector per kind. Out: who an object belongs to, who belongs to it.
//! An edge may point to a uid that is not in the graph: an owner not seen yet, or gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use parking_lot::RwLock;

use crate::action::{KindRef, Target};
use crate::object::{has_finalizer, is_deleting, key_of, revision_of, uid_of};

pub const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
pub const ORPHAN_FINALIZER: &str = "orphan";

#[derive(Default)]
pub struct Graph {
    vertices: RwLock<Vertices>,
}

#[derive(Default)]
struct Vertices {
    by_uid: BTreeMap<String, Arc<Vertex>>,
    dependents: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Clone, Debug)]
pub struct Vertex {
    pub kind: Arc<KindRef>,
    pub key: ObjectKey,
    pub uid: String,
    pub revision: u64,
    pub owners: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
    pub deleting: bool,
    pub foreground: bool,
    pub orphaning: bool,
}

/// Which vertex changed, and whether it is still there.
#[derive(Clone, Debug)]
pub struct GraphChange {
    pub vertex: Arc<Vertex>,
    pub removed: bool,
}

impl Vertex {
    pub fn new(kind: Arc<KindRef>, meta: &ObjectMeta) -> Self {
        let deleting = is_deleting(meta);
        Self {
            kind,
            key: key_of(meta),
            uid: uid_of(meta).to_owned(),
            revision: revision_of(meta),
            owners: meta.owner_references.clone().unwrap_or_default(),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            deleting,
            foreground: deleting && has_finalizer(meta, FOREGROUND_FINALIZER),
            orphaning: deleting && has_finalizer(meta, ORPHAN_FINALIZER),
        }
    }

    pub fn target(&self) -> Target {
        Target {
            kind: (*self.kind).clone(),
            key: self.key.clone(),
            uid: self.uid.clone(),
            revision: self.revision,
        }
    }
}

impl Graph {
    pub fn vertex(&self, uid: &str) -> Option<Arc<Vertex>> {
        self.vertices.read().by_uid.get(uid).cloned()
    }

    /// The objects that name `uid` as an owner, ordered by uid.
    pub fn dependents(&self, uid: &str) -> Vec<Arc<Vertex>> {
        let vertices = self.vertices.read();
        let uids = vertices.dependents.get(uid);
        uids.into_iter().flatten().filter_map(|uid| vertices.by_uid.get(uid).cloned()).collect()
    }

    pub fn apply(&self, vertex: Arc<Vertex>) {
        let mut vertices = self.vertices.write();
        vertices.unlink(&vertex.uid);
        for owner in &vertex.owners {
            vertices.dependents.entry(owner.uid.clone()).or_default().insert(vertex.uid.clone());
        }
        vertices.by_uid.insert(vertex.uid.clone(), vertex);
    }

    pub fn remove(&self, uid: &str) {
        let mut vertices = self.vertices.write();
        vertices.unlink(uid);
        vertices.by_uid.remove(uid);
    }

    pub fn len(&self) -> usize {
        self.vertices.read().by_uid.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Vertices {
    fn unlink(&mut self, uid: &str) {
        let Some(old) = self.by_uid.get(uid).cloned() else { return };
        for owner in &old.owners {
            let Some(dependents) = self.dependents.get_mut(&owner.uid) else { continue };
            dependents.remove(uid);
            if dependents.is_empty() {
                self.dependents.remove(&owner.uid);
            }
        }
    }
}
