//! The status of a deployment: counts, Available, Progressing.
//!
//! Progressing is a clock that is set back by every step forward; when it has not been for progressDeadlineSeconds, the condition
//! turns False. Reasons and messages are those that `kubectl rollout status` reads.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSetStatus};

use super::fleet::{Fleet, Ship, spec_replicas};
use super::strategy::{is_paused, max_unavailable, progress_deadline_seconds, replicas};
use crate::action::Action;
use crate::object::{api_time, name_of, plus_seconds, time_until};
use crate::replicaset::{REPLICA_FAILURE, nonzero};

/// What the plan knows about the rollout besides the counts.
pub enum Progress {
    /// Paused, resizing or going away: the clock is not judged.
    Unjudged,
    Judged,
    Created {
        set: String,
    },
}

const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

pub fn plan(deployment: &Deployment, fleet: &Fleet, progress: Progress, now: Timestamp) -> Vec<Action> {
    let mut status = counts(deployment, fleet);
    set_available(deployment, &mut status, now);
    set_paused(deployment, &mut status, now);
    set_replica_failure(fleet, &mut status, now);
    match progress {
        Progress::Unjudged => {}
        Progress::Judged => judge(deployment, fleet, &mut status, now),
        Progress::Created { set } => {
            if progress_deadline_seconds(deployment).is_some() {
                let message = format!("Created new replica set \"{set}\"");
                put(&mut status, condition(PROGRESSING, "True", "NewReplicaSetCreated", message, now));
            }
        }
    }
    let mut actions = Vec::new();
    let next_judgement = deadline(deployment, &status).and_then(|moment| time_until(moment, now));
    if deployment.status.as_ref() != Some(&status) {
        actions.push(Action::update_status(Deployment { status: Some(status), ..deployment.clone() }));
    }
    actions.extend(next_judgement.map(|after| Action::LookAgain { after }));
    actions
}

/// The counts as the sets report them; conditions as they were.
pub fn counts(deployment: &Deployment, fleet: &Fleet) -> DeploymentStatus {
    let sum = |count: fn(&ReplicaSetStatus) -> i32| -> i32 {
        fleet.all().map(|ship| ship.set.status.as_ref().map_or(0, count)).sum()
    };
    let available = sum(|status| status.available_replicas.unwrap_or(0));
    let wanted: i32 = fleet.all().map(|ship| spec_replicas(&ship.set)).sum();
    let updated =
        fleet.new.as_ref().and_then(|new| new.set.status.as_ref()).map_or(0, |status| status.replicas);
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: nonzero(sum(|status| status.replicas)),
        updated_replicas: nonzero(updated),
        ready_replicas: nonzero(sum(|status| status.ready_replicas.unwrap_or(0))),
        available_replicas: nonzero(available),
        unavailable_replicas: nonzero((wanted - available).max(0)),
        ..deployment.status.clone().unwrap_or_default()
    }
}

/// Every wanted pod is of the new template and available, and no old one is left.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = replicas(deployment);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

fn set_available(deployment: &Deployment, status: &mut DeploymentStatus, now: Timestamp) {
    let enough = status.available_replicas.unwrap_or(0) >= replicas(deployment) - max_unavailable(deployment);
    let condition = if enough {
        let message = "Deployment has minimum availability.";
        condition(AVAILABLE, "True", "MinimumReplicasAvailable", message.to_owned(), now)
    } else {
        let message = "Deployment does not have minimum availability.";
        condition(AVAILABLE, "False", "MinimumReplicasUnavailable", message.to_owned(), now)
    };
    put(status, condition);
}

/// Passes on why a set cannot create pods; the new set's word first.
fn set_replica_failure(fleet: &Fleet, status: &mut DeploymentStatus, now: Timestamp) {
    let sets = fleet.new.iter().chain(&fleet.old);
    let mut conditions =
        sets.flat_map(|ship| ship.set.status.iter().flat_map(|status| status.conditions.iter().flatten()));
    match conditions.find(|condition| condition.type_ == REPLICA_FAILURE) {
        Some(failure) => {
            let reason = failure.reason.as_deref().unwrap_or_default();
            let message = failure.message.clone().unwrap_or_default();
            put(status, condition(REPLICA_FAILURE, &failure.status, reason, message, now));
        }
        None => remove(status, REPLICA_FAILURE),
    }
}

/// A pause is told, and its end restarts the clock.
fn set_paused(deployment: &Deployment, status: &mut DeploymentStatus, now: Timestamp) {
    let reason = progressing(status).and_then(|condition| condition.reason.clone());
    if progress_deadline_seconds(deployment).is_none() || reason.as_deref() == Some(TIMED_OUT) {
        return;
    }
    let was_paused = reason.as_deref() == Some(PAUSED);
    if is_paused(deployment) && !was_paused {
        put(status, condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused".to_owned(), now));
    } else if !is_paused(deployment) && was_paused {
        let message = "Deployment is resumed".to_owned();
        put(status, condition(PROGRESSING, "Unknown", "DeploymentResumed", message, now));
    }
}

fn judge(deployment: &Deployment, fleet: &Fleet, status: &mut DeploymentStatus, now: Timestamp) {
    if progress_deadline_seconds(deployment).is_none() {
        return remove(status, PROGRESSING);
    }
    let reason = progressing(status).and_then(|condition| condition.reason.as_deref());
    // A finished rollout stays finished when a pod is lost later.
    if reason == Some(NEW_SET_AVAILABLE) && status.replicas == status.updated_replicas {
        return;
    }
    let subject = subject(deployment, fleet.new.as_ref());
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        put(status, condition(PROGRESSING, "True", NEW_SET_AVAILABLE, message, now));
    } else if has_progressed(deployment, status) {
        let message = format!("{subject} is progressing.");
        restart_clock(status, condition(PROGRESSING, "True", "ReplicaSetUpdated", message, now));
    } else if deadline(deployment, status).is_some_and(|deadline| deadline <= now) {
        let message = format!("{subject} has timed out progressing.");
        put(status, condition(PROGRESSING, "False", TIMED_OUT, message, now));
    } else if let (None, Some(new)) = (progressing(status), &fleet.new) {
        let message = format!("Found new replica set \"{}\"", new.name());
        put(status, condition(PROGRESSING, "True", "FoundNewReplicaSet", message, now));
    }
}

fn subject(deployment: &Deployment, new: Option<&Ship>) -> String {
    match new {
        Some(new) => format!("ReplicaSet \"{}\"", new.name()),
        None => format!("Deployment \"{}\"", name_of(&deployment.metadata)),
    }
}

/// More new pods, fewer old ones, or more that serve than the stored status tells.
fn has_progressed(deployment: &Deployment, now: &DeploymentStatus) -> bool {
    let before = deployment.status.clone().unwrap_or_default();
    let updated = |status: &DeploymentStatus| status.updated_replicas.unwrap_or(0);
    let old = |status: &DeploymentStatus| status.replicas.unwrap_or(0) - updated(status);
    updated(now) > updated(&before)
        || old(now) < old(&before)
        || now.ready_replicas.unwrap_or(0) > before.ready_replicas.unwrap_or(0)
        || now.available_replicas.unwrap_or(0) > before.available_replicas.unwrap_or(0)
}

/// When the running clock ends; nothing when no clock runs.
fn deadline(deployment: &Deployment, status: &DeploymentStatus) -> Option<Timestamp> {
    let seconds = progress_deadline_seconds(deployment)?;
    let condition = progressing(status)?;
    if is_paused(deployment) || matches!(condition.reason.as_deref(), Some(NEW_SET_AVAILABLE | TIMED_OUT)) {
        return None;
    }
    let since = condition.last_update_time.as_ref()?.0;
    // One second more than the deadline, since the clock must have passed it.
    Some(plus_seconds(since, i64::from(seconds) + 1))
}

fn progressing(status: &DeploymentStatus) -> Option<&DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == PROGRESSING)
}

fn condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(api_time(now)),
        last_transition_time: Some(api_time(now)),
    }
}

fn remove(status: &mut DeploymentStatus, type_: &str) {
    status.conditions.iter_mut().for_each(|all| all.retain(|condition| condition.type_ != type_));
}

/// Sets a condition, unless one with the same status and reason is there: then nothing happened.
fn put(status: &mut DeploymentStatus, condition: DeploymentCondition) {
    let all = status.conditions.iter().flatten();
    let current = all.clone().find(|current| current.type_ == condition.type_);
    if current.is_some_and(|now| now.status == condition.status && now.reason == condition.reason) {
        return;
    }
    restart_clock(status, condition);
}

/// Sets a condition with a new update time; the transition time moves with the status only.
fn restart_clock(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    let all = status.conditions.get_or_insert_default();
    if let Some(position) = all.iter().position(|current| current.type_ == condition.type_) {
        let current = all.remove(position);
        if current.status == condition.status {
            condition.last_transition_time = current.last_transition_time;
        }
    }
    all.push(condition);
}
