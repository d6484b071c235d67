//! deployment: rolls a template out over replica sets.
//!
//! In: deployments and replica sets (and the end of pods, for Recreate). Out: replica sets created, scaled, pruned; revisions;
//! the deployment's status. One plan does one step; the change it makes brings the next.
//!
//! ```text
//! paused or resized ──► proportional scaling ──► status
//! RollingUpdate ──► new set (create) ──► grow new | shrink old ──► status ──► prune history when complete
//! Recreate ──► shrink old to 0 ──► wait for their pods ──► new set ──► status
//! ```

mod fleet;
mod history;
mod new_set;
mod plan;
mod proportion;
mod revision;
mod rolling;
mod status;
mod strategy;

pub use new_set::template_hash;
pub use plan::plan;
pub use strategy::scaled;

use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;

use crate::driver::Controller;
use crate::object::{controller_key, controller_of, key_of, namespace_of};
use crate::pod::is_terminated;
use crate::selector::matches;
use crate::world::{Change, Delta, World};

pub const CONTROLLER: Controller = Controller { name: "deployment-controller", workers: 5, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    match change {
        Change::Deployment(delta) => vec![key_of(&delta.latest().metadata)],
        Change::ReplicaSet(delta) => {
            let mut keys: Vec<_> =
                delta.states().filter_map(|set| controller_key::<Deployment>(&set.metadata)).collect();
            if let Some(set) = &delta.new
                && controller_of(&set.metadata).is_none()
            {
                keys.extend(would_adopt(world, set));
            }
            keys
        }
        Change::Pod(delta) => waiting_for_end(world, delta).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn would_adopt(world: &World, set: &ReplicaSet) -> Vec<ObjectKey> {
    let deployments = world.deployments.in_namespace(namespace_of(&set.metadata));
    let selects = |deployment: &&Arc<Deployment>| {
        deployment.spec.as_ref().is_some_and(|spec| matches(&spec.selector, set.metadata.labels.as_ref()))
    };
    deployments.iter().filter(selects).map(|deployment| key_of(&deployment.metadata)).collect()
}

/// A Recreate deployment goes on when the last old pod ends.
fn waiting_for_end(world: &World, delta: &Delta<Pod>) -> Option<ObjectKey> {
    if delta.new.as_ref().is_some_and(|pod| !is_terminated(pod)) {
        return None;
    }
    let set = world.replica_sets.find(&controller_key::<ReplicaSet>(&delta.latest().metadata)?)?;
    let deployment = world.deployments.find(&controller_key::<Deployment>(&set.metadata)?)?;
    strategy::is_recreate(&deployment).then(|| key_of(&deployment.metadata))
}
