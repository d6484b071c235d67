//! taint-eviction: pods leave a node whose NoExecute taints they do not tolerate, when their tolerationSeconds are over.

mod plan;

pub use plan::plan;

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::core::v1::Node;

use crate::driver::Controller;
use crate::object::{key_of, name_of};
use crate::pod::node_name;
use crate::taint::NO_EXECUTE;
use crate::world::{Change, NODE, World};

pub const CONTROLLER: Controller = Controller { name: "taint-eviction-controller", workers: 8, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    match change {
        Change::Pod(delta) => {
            let pod = delta.latest();
            let node = world.nodes.get("", node_name(pod));
            if node.is_some_and(|node| has_no_execute(&node)) {
                vec![key_of(&pod.metadata)]
            } else {
                Vec::new()
            }
        }
        Change::Node(delta) if delta.new.as_ref().is_some_and(|node| has_no_execute(node)) => {
            let pods = world.pods.by_index(NODE, name_of(&delta.latest().metadata));
            pods.iter().map(|pod| key_of(&pod.metadata)).collect()
        }
        _ => Vec::new(),
    }
}

fn has_no_execute(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().any(|taint| taint.effect == NO_EXECUTE)
}
