//! Resizing while several sets are active: each takes its share, so that a bad rollout does not grow with the deployment.

use k8s_openapi::api::apps::v1::Deployment;

use super::fleet::{Fleet, Ship};
use super::new_set::{DESIRED_REPLICAS, MAX_REPLICAS};
use super::strategy::{is_recreate, max_surge, replicas};
use crate::object::{annotation, created_at};

/// Whether `spec.replicas` changed since the active sets were last sized.
pub fn is_resize(deployment: &Deployment, fleet: &Fleet) -> bool {
    let wanted = replicas(deployment);
    let mut active = fleet.all().filter(|ship| ship.size > 0);
    active.any(|ship| remembered(ship, DESIRED_REPLICAS).is_some_and(|remembered| remembered != wanted))
}

pub fn resize(deployment: &Deployment, fleet: &mut Fleet) {
    let wanted = replicas(deployment);
    if let Some(only) = active_or_latest(fleet) {
        only.size = wanted;
    } else if is_saturated(fleet.new.as_ref(), wanted) {
        fleet.old.iter_mut().for_each(|ship| ship.size = 0);
    } else if !is_recreate(deployment) {
        share(deployment, fleet);
    }
}

/// The only active set; when none is active, the newest.
fn active_or_latest(fleet: &mut Fleet) -> Option<&mut Ship> {
    let active = fleet.all().filter(|ship| ship.size > 0).count();
    match active {
        0 if fleet.new.is_some() => fleet.new.as_mut(),
        0 => fleet.old.last_mut(),
        1 => fleet.all_mut().find(|ship| ship.size > 0),
        _ => None,
    }
}

fn is_saturated(new: Option<&Ship>, wanted: i32) -> bool {
    new.is_some_and(|new| {
        new.size == wanted && new.available() == wanted && remembered(new, DESIRED_REPLICAS) == Some(wanted)
    })
}

fn share(deployment: &Deployment, fleet: &mut Fleet) {
    let wanted = replicas(deployment);
    let allowed = if wanted > 0 { wanted + max_surge(deployment) } else { 0 };
    let to_add = allowed - fleet.total_size();
    let mut active: Vec<&mut Ship> = fleet.all_mut().filter(|ship| ship.size > 0).collect();
    // The larger set takes the rounding error; among equals the newer grows, the older shrinks.
    active.sort_by(|a, b| {
        let age = created_at(&a.set.metadata).cmp(&created_at(&b.set.metadata));
        b.size.cmp(&a.size).then(if to_add > 0 { age.reverse() } else { age })
    });
    let mut added = 0;
    for ship in &mut active {
        let part = proportion(deployment, ship, to_add, added);
        ship.size += part;
        added += part;
    }
    if let Some(first) = active.first_mut() {
        first.size = (first.size + to_add - added).max(0);
    }
}

fn proportion(deployment: &Deployment, ship: &Ship, to_add: i32, added: i32) -> i32 {
    if to_add == added {
        return 0;
    }
    let left = to_add - added;
    let fraction = fraction(deployment, ship);
    if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
}

fn fraction(deployment: &Deployment, ship: &Ship) -> i32 {
    let wanted = replicas(deployment);
    if wanted == 0 {
        return -ship.size;
    }
    let before = remembered(ship, MAX_REPLICAS)
        .or_else(|| deployment.status.as_ref().and_then(|status| status.replicas))
        .filter(|before| *before > 0)
        .unwrap_or(wanted);
    let after = f64::from(ship.size) * f64::from(wanted + max_surge(deployment)) / f64::from(before);
    after.round() as i32 - ship.size
}

fn remembered(ship: &Ship, name: &str) -> Option<i32> {
    annotation(&ship.set.metadata, name)?.parse().ok()
}
