//! Plans one step of one deployment.

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};

use super::fleet::{Fleet, scaled_note, spec_replicas};
use super::new_set::{collision_count, new_set};
use super::status::{Progress, is_complete};
use super::strategy::{is_paused, is_recreate, replicas};
use super::{history, proportion, revision, rolling, status};
use crate::action::Action;
use crate::claim::claim;
use crate::object::{controller_of, is_deleting, name_of, namespace_of, uid_of};
use crate::pod::is_terminated;
use crate::world::{OWNER, World};

pub fn plan(world: &World, key: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let Some(deployment) = world.deployments.find(key) else { return Vec::new() };
    let Some(spec) = &deployment.spec else { return Vec::new() };
    let claim = claim(&*deployment, &spec.selector, &world.replica_sets);
    let mut actions = claim.actions;
    let mut fleet = Fleet::sort(&deployment, claim.owned);
    if is_deleting(&deployment.metadata) {
        actions.extend(status::plan(&deployment, &fleet, Progress::Unjudged, now));
    } else if is_paused(&deployment) || proportion::is_resize(&deployment, &fleet) {
        proportion::resize(&deployment, &mut fleet);
        actions.extend(fleet.actions(&deployment));
        actions.extend(status::plan(&deployment, &fleet, Progress::Unjudged, now));
    } else {
        actions.extend(roll_out(world, &deployment, &mut fleet, now));
    }
    actions
}

fn roll_out(world: &World, deployment: &Deployment, fleet: &mut Fleet, now: Timestamp) -> Vec<Action> {
    if is_recreate(deployment) && fleet.old_size() > 0 {
        fleet.old.iter_mut().for_each(|ship| ship.size = 0);
        return resize(deployment, fleet, now);
    }
    if is_recreate(deployment) && fleet.new.is_none() && old_pods_run(world, fleet) {
        return status::plan(deployment, fleet, Progress::Judged, now);
    }
    let wanted_revision = revision::next(fleet);
    let Some(new) = &fleet.new else {
        return create(world, deployment, fleet, wanted_revision, now);
    };
    let renumbering = revision::plan(deployment, new, wanted_revision);
    if !renumbering.is_empty() {
        // These change the objects that the rest of the step is guarded on; the step follows when they are seen.
        return renumbering;
    }
    if is_recreate(deployment) {
        fleet.new.iter_mut().for_each(|new| new.size = replicas(deployment));
    } else {
        rolling::step(deployment, fleet);
    }
    resize(deployment, fleet, now)
}

fn resize(deployment: &Deployment, fleet: &Fleet, now: Timestamp) -> Vec<Action> {
    let mut actions = fleet.actions(deployment);
    actions.extend(status::plan(deployment, fleet, Progress::Judged, now));
    if !fleet.is_resized() && is_complete(deployment, &status::counts(deployment, fleet)) {
        actions.extend(history::plan(deployment, fleet));
    }
    actions
}

fn create(
    world: &World,
    deployment: &Deployment,
    fleet: &Fleet,
    revision: i64,
    now: Timestamp,
) -> Vec<Action> {
    let size =
        if is_recreate(deployment) { replicas(deployment) } else { rolling::new_size(deployment, fleet) };
    let set = new_set(deployment, size, revision);
    let name = name_of(&set.metadata).to_owned();
    if let Some(other) = world.replica_sets.get(namespace_of(&deployment.metadata), &name) {
        return clash(deployment, &other);
    }
    let size = spec_replicas(&set);
    let mut actions = vec![Action::create(set)];
    if size > 0 {
        actions.push(scaled_note(deployment, &name, 0, size));
    }
    actions.extend(status::plan(deployment, fleet, Progress::Created { set: name }, now));
    actions
}

/// The name is taken by a set with another template or owner: count up, which changes the hash.
fn clash(deployment: &Deployment, other: &ReplicaSet) -> Vec<Action> {
    let is_own =
        controller_of(&other.metadata).is_some_and(|owner| owner.uid == uid_of(&deployment.metadata));
    if is_own && is_deleting(&other.metadata) {
        // Its end is a change of ours, and frees the name.
        return Vec::new();
    }
    let status = deployment.status.clone().unwrap_or_default();
    let status = DeploymentStatus { collision_count: Some(collision_count(deployment) + 1), ..status };
    vec![Action::update_status(Deployment { status: Some(status), ..deployment.clone() })]
}

fn old_pods_run(world: &World, fleet: &Fleet) -> bool {
    let pods = fleet.old.iter().flat_map(|ship| world.pods.by_index(OWNER, uid_of(&ship.set.metadata)));
    pods.into_iter().any(|pod| !is_terminated(&pod))
}
