//! Plans one pod on a tainted node.

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Taint, Toleration};

use crate::action::{Action, Severity};
use crate::object::{is_deleting, plus_seconds, time_until};
use crate::pod::{disrupted, node_name};
use crate::taint::{NO_EXECUTE, tolerates};
use crate::world::World;

pub fn plan(world: &World, key: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let Some(pod) = world.pods.find(key) else { return Vec::new() };
    let Some(node) = world.nodes.get("", node_name(&pod)) else { return Vec::new() };
    if is_deleting(&pod.metadata) {
        return Vec::new();
    }
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let no_execute = taints.iter().filter(|taint| taint.effect == NO_EXECUTE);
    let Some(leaves_at) = no_execute.filter_map(|taint| leaves_at(taint, tolerations, now)).min() else {
        return Vec::new();
    };
    match time_until(leaves_at, now) {
        Some(after) => vec![Action::LookAgain { after }],
        None => evict(&pod, key, now),
    }
}

/// When the taint drives the pod away: never, now, or after the shortest of the seconds that tolerate it.
fn leaves_at(taint: &Taint, tolerations: &[Toleration], now: Timestamp) -> Option<Timestamp> {
    let matching: Vec<_> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
    if matching.is_empty() {
        return Some(now);
    }
    let seconds = matching.iter().filter_map(|toleration| toleration.toleration_seconds).min()?;
    let since = taint.time_added.as_ref().map_or(now, |time| time.0);
    Some(plus_seconds(since, seconds.max(0)))
}

fn evict(pod: &Pod, key: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let why = "Taint manager: deleting due to NoExecute taint";
    let message = format!("Marking for deletion Pod {key}");
    vec![
        Action::note(pod, Severity::Normal, "TaintManagerEviction", message),
        Action::update_status(disrupted(pod, "DeletionByTaintManager", why, false, now)),
        Action::delete(pod),
    ]
}
