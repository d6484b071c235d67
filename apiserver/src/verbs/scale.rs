//! The scale subresource: `autoscaling/v1 Scale` as a view of a workload's replicas.

use std::sync::Arc;

use balsa_proto::meta::selector::Selector;
use serde_json::{Value, json};

use super::patch::{Patch, PatchType, apply_to};
use crate::cache::CachedObject;
use crate::error::{ApiError, FieldError, GroupKind};
use crate::kinds;
use crate::pipeline::change::{Aspect, Change, Ownership};
use crate::pipeline::{Api, Target, Writer, meta};

pub async fn get(api: &Api, target: &Target) -> Result<Value, ApiError> {
    Ok(view(&api.read(target).await?.value()))
}

pub async fn update(api: &Api, target: &Target, writer: &Writer, scale: &Value) -> Result<Value, ApiError> {
    write(api, target, writer, |_| Ok(scale.clone())).await
}

pub async fn patch(
    api: &Api,
    target: &Target,
    writer: &Writer,
    patch: &Patch<'_>,
) -> Result<Value, ApiError> {
    let scale_kind = kinds::lookup_kind("autoscaling", "v1", "HorizontalPodAutoscaler")
        .ok_or_else(|| ApiError::internal("the table of kinds has no autoscaling/v1"))?;
    // Scale has no lists, so a strategic merge is a plain merge.
    let as_merge = match patch.patch_type {
        PatchType::Strategic => PatchType::Merge,
        other => other,
    };
    let patch = Patch { patch_type: as_merge, body: patch.body, validation: patch.validation };
    write(api, target, writer, |present| apply_to(scale_kind, &patch, present)).await
}

async fn write(
    api: &Api,
    target: &Target,
    writer: &Writer,
    wanted: impl Fn(&Value) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let change = Change { target, writer, aspect: Aspect::Object, ownership: Ownership::Track };
    let modify = |base: &CachedObject, old: &Value| {
        let scale = wanted(&view(old))?;
        if let Some(version) = meta::resource_version(&scale)?
            && version != base.revision
        {
            return Err(ApiError::modified(&target.group_resource(), &target.name));
        }
        super::update::check_uid(target, &scale, base)?;
        let mut new = old.clone();
        new["spec"]["replicas"] = json!(replicas(target, &scale)?);
        Ok(new)
    };
    let object: Arc<CachedObject> = change.run(api, modify).await?;
    Ok(view(&object.value()))
}

fn replicas(target: &Target, scale: &Value) -> Result<i64, ApiError> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        number => number.as_i64().ok_or_else(|| {
            ApiError::bad_request(
                "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas is no number",
            )
        })?,
    };
    if replicas >= 0 {
        return Ok(replicas);
    }
    let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
    Err(ApiError::invalid(&GroupKind::new("autoscaling", "Scale"), &target.name, vec![error]))
}

/// The Scale that a workload shows.
fn view(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {},
        "spec": {},
        "status": { "replicas": object["status"]["replicas"].as_i64().unwrap_or(0) },
    });
    for member in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(member) {
            scale["metadata"][member] = value.clone();
        }
    }
    if let Some(replicas) = object["spec"]["replicas"].as_i64().filter(|replicas| *replicas != 0) {
        scale["spec"]["replicas"] = json!(replicas);
    }
    let selector = selector_text(&object["spec"]["selector"]);
    if !selector.is_empty() {
        scale["status"]["selector"] = json!(selector);
    }
    scale
}

/// A label selector, or a plain map as replication controllers have, in the form of a query parameter.
fn selector_text(selector: &Value) -> String {
    let Some(members) = selector.as_object() else { return String::new() };
    let is_label_selector = members.contains_key("matchLabels") || members.contains_key("matchExpressions");
    if is_label_selector {
        let parsed = serde_json::from_value(selector.clone()).ok();
        return parsed
            .and_then(|s| Selector::from_label_selector(&s).ok())
            .map_or_else(String::new, |s| s.to_string());
    }
    let pairs = members.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    pairs.collect::<Vec<_>>().join(",")
}
