//! node-lifecycle: notices silent nodes and taints nodes by their conditions.
//!
//! In: nodes and their leases; silence is measured by when *we* last saw the lease change. Out: conditions turned Unknown, taints,
//! pods of a silent node marked not ready. Who is evicted because of a taint, and when, is `taint_eviction`'s.

mod conditions;
mod plan;
mod taints;

pub use plan::plan;

use balsa_proto::client::ObjectKey;

use crate::driver::Controller;
use crate::object::name_of;
use crate::pod::{is_ready, node_name};
use crate::world::{Change, World};

pub const CONTROLLER: Controller = Controller { name: "node-lifecycle-controller", workers: 4, keys, plan };

/// Keys are nodes. A lease wakes its node only when the node counts as silent; otherwise the time set for its silence does.
fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    let name = match change {
        Change::Node(delta) => name_of(&delta.latest().metadata),
        Change::Lease(delta) if delta.old.is_none() || delta.new.is_none() => {
            name_of(&delta.latest().metadata)
        }
        Change::Pod(delta) => match &delta.new {
            Some(pod) if is_ready(pod) && is_silent(world, node_name(pod)) => node_name(pod),
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    vec![ObjectKey::new("", name)]
}

fn is_silent(world: &World, name: &str) -> bool {
    let node = world.nodes.get("", name);
    node.is_some_and(|node| conditions::ready(&node).is_some_and(|ready| ready.status == "Unknown"))
}
