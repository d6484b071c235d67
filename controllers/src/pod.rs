//! Questions about pods that several controllers ask.
//!
//! Source: pod lifecycle of the Kubernetes documentation: phases, Ready, minReadySeconds.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};

use crate::object::{api_time, is_deleting, plus_seconds};

const DISRUPTION_TARGET: &str = "DisruptionTarget";

pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

pub fn is_terminated(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Neither finished nor on its way out: it counts towards `replicas`.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminated(pod) && !is_deleting(&pod.metadata)
}

pub fn node_name(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

pub fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == type_)
}

pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|ready| ready.status == "True")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

/// Ready for at least `min_ready_seconds`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    if !is_ready(pod) {
        return false;
    }
    min_ready_seconds == 0 || available_at(pod, min_ready_seconds).is_some_and(|moment| moment <= now)
}

/// When a pod that is ready now becomes available.
pub fn available_at(pod: &Pod, min_ready_seconds: i32) -> Option<Timestamp> {
    Some(plus_seconds(ready_since(pod)?, i64::from(min_ready_seconds)))
}

/// The pod with the condition that tells its owner that it is taken away for no fault of its own (KEP-3329); a pod
/// that had not ended has failed when nobody can stop it any more.
pub fn disrupted(pod: &Pod, reason: &str, message: &str, fails: bool, now: Timestamp) -> Pod {
    let mut pod = pod.clone();
    let was_over = is_terminated(&pod);
    let generation = pod.metadata.generation;
    let status = pod.status.get_or_insert_default();
    if fails && !was_over {
        status.phase = Some("Failed".to_owned());
    }
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != DISRUPTION_TARGET);
    conditions.push(PodCondition {
        type_: DISRUPTION_TARGET.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(api_time(now)),
        observed_generation: generation,
        ..PodCondition::default()
    });
    pod
}

pub fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|container| container.restart_count).max().unwrap_or(0)
}
