//! Events: core v1, which is also how they are stored, and events.k8s.io/v1.

use serde_json::{Value, json};

use super::Hooks;
use super::bounds::NOTE_BYTES;
use super::check::Errors;
use super::fields::mirror;
use super::walk::{set_absent, text};
use crate::error::FieldError;

pub(super) const CORE: Hooks = Hooks { default, validate, fields, ..Hooks::NONE };

/// Selectors of the newer group go by its own field names; what is stored is validated as core.
pub(super) const GROUPED: Hooks = Hooks { fields: grouped_fields, ..Hooks::NONE };

fn default(event: &mut Value) {
    set_absent(event, "source", json!({}));
    set_absent(event, "involvedObject", json!({}));
    // Served as null when unset: these are times without a value in the stock encoding.
    for field in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        set_absent(event, field, Value::Null);
    }
    set_absent(event, "reportingComponent", "");
    set_absent(event, "reportingInstance", "");
}

fn validate(event: &Value) -> Errors {
    let mut errors = Vec::new();
    let about = text(event, "/involvedObject/namespace");
    let own = text(event, "/metadata/namespace");
    // Events about cluster-scoped objects live in `default`.
    let fits = if about.is_empty() { matches!(own, "default" | "kube-system") } else { about == own };
    if !fits {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid("involvedObject.namespace", about, detail));
    }
    let is_new = event.get("eventTime").is_some_and(|time| !time.is_null());
    if is_new {
        new_style(event, &mut errors);
    }
    errors
}

/// What only writers of the newer form must keep to.
fn new_style(event: &Value, errors: &mut Errors) {
    for field in ["reportingComponent", "reportingInstance", "action", "reason"] {
        if text(event, &format!("/{field}")).is_empty() {
            let path = if field == "reportingComponent" { "reportingController" } else { field };
            errors.push(FieldError::required(path, ""));
        }
    }
    if text(event, "/message").len() > NOTE_BYTES {
        let detail = format!("can have at most {NOTE_BYTES} characters");
        errors.push(FieldError::invalid("message", "", detail));
    }
}

fn fields(event: &Value) -> Vec<(&'static str, String)> {
    let source = match text(event, "/source/component") {
        "" => text(event, "/reportingComponent"),
        component => component,
    };
    vec![
        mirror(event, "involvedObject.kind", "/involvedObject/kind"),
        mirror(event, "involvedObject.namespace", "/involvedObject/namespace"),
        mirror(event, "involvedObject.name", "/involvedObject/name"),
        mirror(event, "involvedObject.uid", "/involvedObject/uid"),
        mirror(event, "involvedObject.apiVersion", "/involvedObject/apiVersion"),
        mirror(event, "involvedObject.resourceVersion", "/involvedObject/resourceVersion"),
        mirror(event, "involvedObject.fieldPath", "/involvedObject/fieldPath"),
        mirror(event, "reason", "/reason"),
        mirror(event, "reportingComponent", "/reportingComponent"),
        ("source", source.to_owned()),
        mirror(event, "type", "/type"),
    ]
}

/// The same facts of a stored (core) event under the names of events.k8s.io.
fn grouped_fields(event: &Value) -> Vec<(&'static str, String)> {
    let rename = |(name, value): (&'static str, String)| match name {
        "involvedObject.kind" => ("regarding.kind", value),
        "involvedObject.namespace" => ("regarding.namespace", value),
        "involvedObject.name" => ("regarding.name", value),
        "involvedObject.uid" => ("regarding.uid", value),
        "involvedObject.apiVersion" => ("regarding.apiVersion", value),
        "involvedObject.resourceVersion" => ("regarding.resourceVersion", value),
        "involvedObject.fieldPath" => ("regarding.fieldPath", value),
        "reportingComponent" => ("reportingController", value),
        other => (other, value),
    };
    fields(event).into_iter().map(rename).collect()
}
