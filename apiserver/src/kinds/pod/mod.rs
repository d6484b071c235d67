//! Pods, and the pod templates of everything that makes pods.
//!
//! [`defaults`] and [`validate`] work on a pod or on a template; [`update`] is what may change later, [`resize`] and
//! [`ephemeral`] what may change through subresources of their own.

mod container;
pub(super) mod defaults;
pub(super) mod ephemeral;
pub mod qos;
pub(super) mod resize;
mod scheduling;
mod update;
pub(super) mod validate;
mod volume;

use serde_json::{Value, json};

use super::Hooks;
use super::check::Errors;
use super::fields::mirror;
use super::walk::{int, items, keep, set, set_absent, text};

pub(super) const HOOKS: Hooks = Hooks {
    default: defaults::pod,
    prepare_create,
    prepare_update: |_, _| {},
    prepare_status,
    validate: validate_pod,
    validate_update: update::validate,
    validate_status: |new, old| update::validate_status(new, old),
    fields,
    grace_seconds,
    ..Hooks::NONE
};

fn prepare_create(pod: &mut Value) {
    let class = qos::class(pod);
    set(pod, "status", json!({"phase": "Pending", "qosClass": class}));
    if !items(pod, "/spec/schedulingGates").is_empty() {
        let condition = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null,
            "lastTransitionTime": null,
        }]);
        set(&mut pod["status"], "conditions", condition);
    }
}

/// The class was decided on create; a writer that leaves it out does not take it away.
fn prepare_status(new: &mut Value, old: &Value) {
    if let (Some(status), Some(before)) = (new.get_mut("status"), old.pointer("/status/qosClass")) {
        set_absent(status, "qosClass", before.clone());
    }
    if let (Some(metadata), Some(before)) = (new.get_mut("metadata"), old.get("metadata")) {
        keep(metadata, before, "deletionTimestamp");
    }
}

fn validate_pod(pod: &Value) -> Errors {
    let mut errors = Vec::new();
    validate::spec(pod.get("spec").unwrap_or(&Value::Null), "spec", &mut errors);
    errors
}

fn fields(pod: &Value) -> Vec<(&'static str, String)> {
    let host_network = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool).unwrap_or(false);
    let addresses: Vec<&str> = items(pod, "/status/podIPs").iter().map(|ip| text(ip, "/ip")).collect();
    vec![
        mirror(pod, "spec.nodeName", "/spec/nodeName"),
        mirror(pod, "spec.restartPolicy", "/spec/restartPolicy"),
        mirror(pod, "spec.schedulerName", "/spec/schedulerName"),
        mirror(pod, "spec.serviceAccountName", "/spec/serviceAccountName"),
        ("spec.hostNetwork", host_network.to_string()),
        mirror(pod, "status.phase", "/status/phase"),
        mirror(pod, "status.podIP", "/status/podIP"),
        ("status.podIPs", addresses.join(",")),
        mirror(pod, "status.nominatedNodeName", "/status/nominatedNodeName"),
    ]
}

/// The pod's own grace unless the client says otherwise; none where nothing runs.
fn grace_seconds(pod: &Value, asked: Option<i64>) -> i64 {
    let own = int(pod, "/spec/terminationGracePeriodSeconds");
    let period = asked.or(own).unwrap_or(0);
    let unscheduled = text(pod, "/spec/nodeName").is_empty();
    let finished = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    match period {
        _ if unscheduled || finished => 0,
        // A negative period in an old pod means "now, but tell the node".
        negative if negative < 0 => 1,
        period => period,
    }
}
