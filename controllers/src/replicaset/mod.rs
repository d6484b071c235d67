//! replicaset: keeps the wanted number of pods of one template.
//!
//! In: replica sets and pods. Out: pods created (slow start) or deleted ([`rank`] chooses), adopted or released; the set's status.

mod plan;
mod rank;
#[cfg(test)]
mod rank_test;
mod status;

pub use plan::plan;
pub use status::{REPLICA_FAILURE, nonzero};

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use crate::driver::Controller;
use crate::object::{controller_key, controller_of, key_of, namespace_of, uid_of};
use crate::selector::matches;
use crate::world::{Change, World};

pub const CONTROLLER: Controller = Controller { name: "replicaset-controller", workers: 5, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    match change {
        Change::ReplicaSet(delta) => {
            if delta.new.is_none() {
                world.findings.set_create_failure(uid_of(&delta.latest().metadata), None);
            }
            vec![key_of(&delta.latest().metadata)]
        }
        Change::Pod(delta) => {
            let mut keys: Vec<_> =
                delta.states().filter_map(|pod| controller_key::<ReplicaSet>(&pod.metadata)).collect();
            if let Some(pod) = &delta.new
                && controller_of(&pod.metadata).is_none()
            {
                keys.extend(would_adopt(world, pod));
            }
            keys
        }
        _ => Vec::new(),
    }
}

fn would_adopt(world: &World, pod: &Pod) -> Vec<ObjectKey> {
    let sets = world.replica_sets.in_namespace(namespace_of(&pod.metadata));
    let selects = |set: &&std::sync::Arc<ReplicaSet>| {
        set.spec.as_ref().is_some_and(|spec| matches(&spec.selector, pod.metadata.labels.as_ref()))
    };
    sets.iter().filter(selects).map(|set| key_of(&set.metadata)).collect()
}
