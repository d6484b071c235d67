//! garbage-collector: what has lost all its owners goes too.
//!
//! In: the owner graph. Keys are uids. Out: deletes guarded by uid and resourceVersion, so that an object whose owners changed
//! since is never deleted; owner references and finalizers removed.
//!
//! ```text
//! deleting + orphan finalizer ──► dependents lose the reference ──► finalizer removed
//! deleting + foregroundDeletion ──► blocking dependents go first ──► finalizer removed
//! an owner missing in the graph ──► asked for live ──► none left: deleted │ some left: references pruned
//! ```
//! Source: KEP-1790 list of semantics; garbage collection page of the Kubernetes documentation.

mod plan;

pub use plan::plan;

use balsa_proto::client::ObjectKey;

use crate::driver::Controller;
use crate::world::{Change, World};

pub const CONTROLLER: Controller =
    Controller { name: "garbage-collector-controller", workers: 20, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    let Change::Graph(change) = change else { return Vec::new() };
    let vertex = &change.vertex;
    let mut uids = Vec::new();
    if change.removed || vertex.deleting {
        uids.extend(world.graph.dependents(&vertex.uid).iter().map(|dependent| dependent.uid.clone()));
        // An owner that is deleted in the foreground waits for this one.
        let owners = vertex.owners.iter().map(|owner| owner.uid.clone());
        uids.extend(owners.filter(|uid| world.graph.vertex(uid).is_some_and(|owner| owner.foreground)));
    }
    if !change.removed && (vertex.deleting || !vertex.owners.is_empty()) {
        uids.push(vertex.uid.clone());
    }
    uids.into_iter().map(|uid| ObjectKey::new("", uid)).collect()
}
