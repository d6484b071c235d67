//! LimitRanger: containers without requests and limits get the namespace's, and all stay within its bounds.

use serde_json::{Value, json};

use super::AdmissionContext;
use crate::error::ApiError;
use crate::kinds::pod::qos;
use crate::kinds::walk::{child, each_mut, entries, items, set, set_absent, text};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

pub(super) fn admit(ctx: &AdmissionContext<'_>, object: &mut Value) -> Result<(), ApiError> {
    if !ctx.creates_pod() {
        return Ok(());
    }
    let ranges: Vec<Value> =
        ctx.list("", "limitranges", ctx.namespace).iter().map(|range| range.value()).collect();
    if ranges.is_empty() {
        return Ok(());
    }
    let limits = || ranges.iter().flat_map(|range| items(range, "/spec/limits"));
    let mut added = Vec::new();
    for limit in limits().filter(|limit| text(limit, "/type") == "Container") {
        for list in ["spec.containers[]", "spec.initContainers[]"] {
            each_mut(object, list, &mut |container| fill(container, limit, &mut added));
        }
    }
    if !added.is_empty() {
        added.sort();
        let note = format!("LimitRanger plugin set: {}", added.join("; "));
        set(child(child(object, "metadata"), "annotations"), ANNOTATION, note);
        let class = qos::class(object);
        set(child(object, "status"), "qosClass", class);
    }
    let complaints: Vec<String> = limits().flat_map(|limit| bounds(object, limit)).collect();
    match complaints.as_slice() {
        [] => Ok(()),
        [one] => Err(ctx.forbidden(one)),
        many => Err(ctx.forbidden(&format!("[{}]", many.join(", ")))),
    }
}

/// Defaults of one container; `added` collects the words of the annotation.
fn fill(container: &mut Value, limit: &Value, added: &mut Vec<String>) {
    let name = text(container, "/name").to_owned();
    let resources = child(container, "resources");
    for (source, side, word) in [("default", "limits", "limit"), ("defaultRequest", "requests", "request")] {
        let amounts: Vec<(String, Value)> = entries(limit, &format!("/{source}"))
            .map(|(key, amount)| (key.clone(), amount.clone()))
            .collect();
        for (resource, amount) in amounts {
            let place = child(resources, side);
            if place.get(&resource).is_none() {
                set_absent(place, &resource, amount);
                added.push(format!("{resource} {word} for container {name}"));
            }
        }
    }
}

fn bounds(pod: &Value, limit: &Value) -> Vec<String> {
    match text(limit, "/type") {
        "Container" => {
            let containers = items(pod, "/spec/containers").iter().chain(items(pod, "/spec/initContainers"));
            containers.flat_map(|container| container_bounds(container, limit)).collect()
        }
        _ => Vec::new(),
    }
}

fn container_bounds(container: &Value, limit: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    for (resource, low) in entries(limit, "/min") {
        match amount(container, "requests", resource) {
            None => complaints.push(format!(
                "minimum {resource} usage per Container is {}.  No request is specified",
                word(low)
            )),
            Some(request) if less(request, low) => complaints.push(format!(
                "minimum {resource} usage per Container is {}, but request is {}",
                word(low),
                word(request)
            )),
            Some(_) => {}
        }
    }
    for (resource, high) in entries(limit, "/max") {
        match amount(container, "limits", resource) {
            None => complaints.push(format!(
                "maximum {resource} usage per Container is {}.  No limit is specified",
                word(high)
            )),
            Some(most) if less(high, most) => complaints.push(format!(
                "maximum {resource} usage per Container is {}, but limit is {}",
                word(high),
                word(most)
            )),
            Some(_) => {}
        }
    }
    complaints
}

fn amount<'v>(container: &'v Value, side: &str, resource: &str) -> Option<&'v Value> {
    container.get("resources")?.get(side)?.get(resource)
}

fn less(one: &Value, other: &Value) -> bool {
    match (qos::parse_quantity(one), qos::parse_quantity(other)) {
        (Some(one), Some(other)) => one.milli_value() < other.milli_value(),
        _ => false,
    }
}

fn word(amount: &Value) -> String {
    match amount {
        Value::String(text) => text.clone(),
        other => json!(other).to_string(),
    }
}
