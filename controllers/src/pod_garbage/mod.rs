//! pod-garbage-collector: finished pods above the threshold, pods of nodes that are gone, terminating pods that never had one.
//!
//! One key for all pods; only pods that may be garbage wake it.

mod plan;

pub use plan::plan;

use balsa_proto::client::ObjectKey;

use crate::driver::Controller;
use crate::object::{is_deleting, name_of};
use crate::pod::{is_terminated, node_name};
use crate::world::{Change, World};

pub const CONTROLLER: Controller =
    Controller { name: "pod-garbage-collector-controller", workers: 1, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    let wakes = match change {
        Change::Node(delta) => {
            if delta.new.is_some() {
                world.findings.forget_node(name_of(&delta.latest().metadata));
            }
            delta.new.is_none()
        }
        Change::Pod(delta) => delta.new.as_ref().is_some_and(|pod| {
            let node = node_name(pod);
            let homeless = if node.is_empty() {
                is_deleting(&pod.metadata)
            } else {
                world.nodes.get("", node).is_none()
            };
            homeless || is_terminated(pod)
        }),
        _ => false,
    };
    if wakes { vec![ObjectKey::new("", "pods")] } else { Vec::new() }
}
