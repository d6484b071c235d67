//! Conversions between versions that share one storage. Pure, and lossless on the way there and back.

use serde_json::{Map, Value, json};

use super::Conversion;
use super::walk::{child, items, remove, set, text};

/// events.k8s.io/v1 ↔ core/v1, which is the stored form.
pub(super) const EVENTS: Conversion =
    Conversion { hub_group: "", hub_version: "v1", to_hub: event_to_core, from_hub: event_from_core };

/// autoscaling/v1 ↔ v2, which is the stored form.
pub(super) const AUTOSCALER: Conversion = Conversion {
    hub_group: "autoscaling",
    hub_version: "v2",
    to_hub: scaler_to_v2,
    from_hub: scaler_from_v2,
};

/// `(events.k8s.io, core)`.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(member) = remove(object, from) {
        set(object, to, member);
    }
}

fn event_to_core(event: &mut Value) {
    EVENT_FIELDS.iter().for_each(|(grouped, core)| rename(event, grouped, core));
    set(event, "apiVersion", "v1");
}

fn event_from_core(event: &mut Value) {
    EVENT_FIELDS.iter().for_each(|(grouped, core)| rename(event, core, grouped));
    set(event, "apiVersion", "events.k8s.io/v1");
}

/// What v1 has no field for travels in these annotations, in v1's own JSON form of it.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

fn scaler_to_v2(scaler: &mut Value) {
    set(scaler, "apiVersion", "autoscaling/v2");
    let mut metrics = Vec::new();
    if let Some(share) =
        scaler.get_mut("spec").and_then(|spec| remove(spec, "targetCPUUtilizationPercentage"))
    {
        metrics.push(cpu_metric(&share));
    }
    if let Some(Value::Array(others)) = take_annotation(scaler, METRICS) {
        metrics.extend(others);
    }
    if !metrics.is_empty() {
        set(child(scaler, "spec"), "metrics", metrics);
    }
    if let Some(behavior) = take_annotation(scaler, BEHAVIOR) {
        set(child(scaler, "spec"), "behavior", behavior);
    }
    if let Some(conditions) = take_annotation(scaler, CONDITIONS) {
        set(child(scaler, "status"), "conditions", conditions);
    }
    if let Some(status) = scaler.get_mut("status") {
        remove(status, "currentCPUUtilizationPercentage");
    }
}

fn scaler_from_v2(scaler: &mut Value) {
    set(scaler, "apiVersion", "autoscaling/v1");
    let metrics = items(scaler, "/spec/metrics").to_vec();
    let (cpu, others): (Vec<Value>, Vec<Value>) = metrics.into_iter().partition(is_cpu_utilization);
    if let Some(spec) = scaler.get_mut("spec") {
        remove(spec, "metrics");
        if let Some(share) = cpu.first().and_then(|m| m.pointer("/resource/target/averageUtilization")) {
            set(spec, "targetCPUUtilizationPercentage", share.clone());
        }
    }
    if !others.is_empty() {
        annotate(scaler, METRICS, &Value::Array(others));
    }
    if let Some(behavior) = scaler.get_mut("spec").and_then(|spec| remove(spec, "behavior")) {
        annotate(scaler, BEHAVIOR, &behavior);
    }
    scaler_status(scaler);
}

fn scaler_status(scaler: &mut Value) {
    let current = items(scaler, "/status/currentMetrics").iter().find(|metric| {
        text(metric, "/resource/name") == "cpu"
            && metric.pointer("/resource/current/averageUtilization").is_some()
    });
    let share = current.and_then(|metric| metric.pointer("/resource/current/averageUtilization")).cloned();
    let Some(status) = scaler.get_mut("status") else { return };
    remove(status, "currentMetrics");
    if let Some(share) = share {
        set(status, "currentCPUUtilizationPercentage", share);
    }
    if let Some(conditions) = remove(status, "conditions") {
        annotate(scaler, CONDITIONS, &conditions);
    }
}

fn cpu_metric(share: &Value) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": share});
    json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
}

fn is_cpu_utilization(metric: &Value) -> bool {
    text(metric, "/type") == "Resource"
        && text(metric, "/resource/name") == "cpu"
        && text(metric, "/resource/target/type") == "Utilization"
}

fn annotate(object: &mut Value, key: &str, value: &Value) {
    set(child(child(object, "metadata"), "annotations"), key, value.to_string());
}

/// Removes and parses an annotation; one that is no JSON is dropped, as it cannot have come from here.
fn take_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let annotations: &mut Map<String, Value> =
        object.pointer_mut("/metadata/annotations")?.as_object_mut()?;
    let value = annotations.remove(key)?;
    if annotations.is_empty() {
        remove(&mut object["metadata"], "annotations");
    }
    serde_json::from_str(value.as_str()?).ok()
}
