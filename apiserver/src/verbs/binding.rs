//! `pods/binding`: the scheduler's one write, which gives a pod its node, once.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cache::CachedObject;
use crate::error::{ApiError, FieldError, GroupKind, GroupResource};
use crate::pipeline::change::{Aspect, Change, Ownership};
use crate::pipeline::{Api, Target, Writer, meta};

pub async fn bind(api: &Api, target: &Target, writer: &Writer, binding: &Value) -> Result<(), ApiError> {
    let node = node_of(target, binding)?;
    let change = Change { target, writer, aspect: Aspect::Exact, ownership: Ownership::Track };
    change.run(api, |base, old| bound(target, binding, node, base, old)).await.map(drop)
}

fn node_of<'b>(target: &Target, binding: &'b Value) -> Result<&'b str, ApiError> {
    let mut errors = Vec::new();
    let kind = binding["target"]["kind"].as_str().unwrap_or_default();
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::not_supported("target.kind", kind, &["Node", "<empty>"]));
    }
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    if node.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if errors.is_empty() {
        Ok(node)
    } else {
        Err(ApiError::invalid(&GroupKind::new("", "Binding"), &target.name, errors))
    }
}

fn bound(
    target: &Target,
    binding: &Value,
    node: &str,
    base: &CachedObject,
    old: &Value,
) -> Result<Value, ApiError> {
    super::update::check_uid(target, binding, base)?;
    let name = &target.name;
    if meta::is_deleting(old) {
        return Err(refused(target, &format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    if let Some(taken) = old["spec"]["nodeName"].as_str().filter(|taken| !taken.is_empty()) {
        return Err(refused(target, &format!("pod {name} is already assigned to node \"{taken}\"")));
    }
    if old["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        return Err(refused(target, &format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    let mut new = old.clone();
    new["spec"]["nodeName"] = json!(node);
    if let Some(annotations) = binding["metadata"]["annotations"].as_object() {
        for (key, value) in annotations {
            new["metadata"]["annotations"][key] = value.clone();
        }
    }
    set_scheduled(&mut new);
    Ok(new)
}

/// The stock server names the subresource in this conflict.
fn refused(target: &Target, why: &str) -> ApiError {
    ApiError::conflict(&GroupResource::new("", "pods/binding"), &target.name, why)
}

fn set_scheduled(pod: &mut Value) {
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": meta::format_time(Timestamp::now()),
    });
    let conditions = &mut pod["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(list) = conditions.as_array_mut() {
        list.retain(|condition| condition["type"] != "PodScheduled");
        list.push(condition);
    }
}
