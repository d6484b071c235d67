//! daemonset: one pod on every node that fits.
//!
//! In: daemon sets, their pods and revisions, nodes. Out: pods bound to their node by affinity, so that the scheduler has the last
//! word; revisions of the template; rolling updates within maxUnavailable; status. `maxSurge` counts as maxUnavailable: the old
//! pod goes before the new one comes.

mod nodes;
mod plan;
mod revision;
mod rollout;
mod status;

pub use plan::plan;

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::driver::Controller;
use crate::object::{controller_key, controller_of, key_of, namespace_of};
use crate::selector::matches;
use crate::world::{Change, Delta, World};

pub const CONTROLLER: Controller = Controller { name: "daemonset-controller", workers: 2, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    match change {
        Change::DaemonSet(delta) => vec![key_of(&delta.latest().metadata)],
        Change::ControllerRevision(delta) => {
            delta.states().filter_map(|revision| controller_key::<DaemonSet>(&revision.metadata)).collect()
        }
        Change::Pod(delta) => {
            let mut keys: Vec<_> =
                delta.states().filter_map(|pod| controller_key::<DaemonSet>(&pod.metadata)).collect();
            keys.extend(delta.new.iter().flat_map(|pod| would_adopt(world, pod)));
            keys
        }
        Change::Node(delta) if matters(delta) => {
            world.daemon_sets.list().iter().map(|set| key_of(&set.metadata)).collect()
        }
        _ => Vec::new(),
    }
}

fn would_adopt(world: &World, pod: &Pod) -> Vec<ObjectKey> {
    if controller_of(&pod.metadata).is_some() {
        return Vec::new();
    }
    let sets = world.daemon_sets.in_namespace(namespace_of(&pod.metadata)).into_iter();
    let selecting = sets.filter(|set| {
        set.spec.as_ref().is_some_and(|spec| matches(&spec.selector, pod.metadata.labels.as_ref()))
    });
    selecting.map(|set| key_of(&set.metadata)).collect()
}

/// A heartbeat changes nothing about who fits.
fn matters(delta: &Delta<Node>) -> bool {
    match (&delta.old, &delta.new) {
        (Some(old), Some(new)) => old.spec != new.spec || old.metadata.labels != new.metadata.labels,
        _ => true,
    }
}
