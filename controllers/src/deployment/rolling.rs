//! One step of a rolling update: grows the new set first, then shrinks old ones, within maxSurge and maxUnavailable.

use k8s_openapi::api::apps::v1::Deployment;

use super::fleet::{Fleet, Ship};
use super::strategy::{max_surge, max_unavailable, replicas};

/// Changes sizes in `fleet`. Growth and shrinkage never happen in one step: each waits to see what the other did.
pub fn step(deployment: &Deployment, fleet: &mut Fleet) {
    let before = fleet.new.as_ref().map_or(0, |new| new.size);
    let wanted = new_size(deployment, fleet);
    if let Some(new) = &mut fleet.new {
        new.size = wanted;
    }
    if wanted == before {
        shrink_old(deployment, fleet);
    }
}

/// The size that the new set may have now.
pub fn new_size(deployment: &Deployment, fleet: &Fleet) -> i32 {
    let wanted = replicas(deployment);
    let have = fleet.new.as_ref().map_or(0, |new| new.size);
    if have >= wanted {
        return wanted;
    }
    let room = wanted + max_surge(deployment) - fleet.total_size();
    have + room.clamp(0, wanted - have)
}

fn shrink_old(deployment: &Deployment, fleet: &mut Fleet) {
    if fleet.old_size() == 0 {
        return;
    }
    let min_available = replicas(deployment) - max_unavailable(deployment);
    let new_unavailable = fleet.new.as_ref().map_or(0, |new| new.size - new.available());
    let may_go = fleet.total_size() - min_available - new_unavailable;
    if may_go <= 0 {
        return;
    }
    shrink_unhealthy(&mut fleet.old, may_go);
    let healthy_may_go = fleet.total_available() - min_available;
    shrink_healthy(&mut fleet.old, healthy_may_go);
}

/// Pods that do not serve cost nothing: they go first, or a broken rollout could not be rolled back.
fn shrink_unhealthy(old: &mut [Ship], mut may_go: i32) {
    for ship in old.iter_mut().filter(|ship| ship.size > 0) {
        let gone = (ship.size - ship.available()).clamp(0, may_go.max(0));
        ship.size -= gone;
        may_go -= gone;
    }
}

fn shrink_healthy(old: &mut [Ship], mut may_go: i32) {
    for ship in old.iter_mut().filter(|ship| ship.size > 0) {
        let gone = ship.size.min(may_go.max(0));
        ship.size -= gone;
        may_go -= gone;
    }
}
