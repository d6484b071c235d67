//! node-ipam: cuts a pod network for each node out of the cluster's.
//!
//! One worker: the next node is planned when the World shows the last one's network, so that none is given twice.

mod plan;

pub use plan::plan;

use balsa_proto::client::ObjectKey;

use crate::driver::Controller;
use crate::object::key_of;
use crate::world::{Change, World};

pub const CONTROLLER: Controller = Controller { name: "node-ipam-controller", workers: 1, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    let Change::Node(delta) = change else { return Vec::new() };
    if delta.new.is_some() {
        return vec![key_of(&delta.latest().metadata)];
    }
    // A network came free: those that found none try again.
    let without = world.nodes.list().into_iter().filter(|node| plan::networks(node).is_empty());
    without.map(|node| key_of(&node.metadata)).collect()
}
