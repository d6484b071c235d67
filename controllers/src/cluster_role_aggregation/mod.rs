//! clusterrole-aggregation: a role with an aggregation rule has the rules of all roles that it selects.

mod plan;

pub use plan::plan;

use balsa_proto::client::ObjectKey;

use crate::driver::Controller;
use crate::object::{key_of, name_of};
use crate::world::{Change, World};

pub const CONTROLLER: Controller =
    Controller { name: "clusterrole-aggregation-controller", workers: 1, keys, plan };

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    let Change::ClusterRole(delta) = change else { return Vec::new() };
    let aggregating = world.cluster_roles.list().into_iter().filter(|role| {
        role.metadata.name.as_deref() == Some(name_of(&delta.latest().metadata))
            || delta.states().any(|state| plan::selects(role, state))
    });
    aggregating.filter(|role| role.aggregation_rule.is_some()).map(|role| key_of(&role.metadata)).collect()
}
