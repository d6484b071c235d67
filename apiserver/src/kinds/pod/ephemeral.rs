//! `pods/ephemeralcontainers`: debugging containers join a pod that runs; none is changed or leaves again.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::super::Part;
use super::super::check::Errors;
use super::super::walk::{child, items, keep, text};
use super::container;
use crate::error::FieldError;

pub(in crate::kinds) const PART: Part = Part { prepare, validate };

/// What a container beside the others may not have.
const FORBIDDEN: &[&str] = &[
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resources",
    "resizePolicy",
    "restartPolicy",
];
const NOT_HERE: &str = "cannot be set for an Ephemeral Container";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The old pod with the new list.
fn prepare(new: &mut Value, old: &Value, _: Timestamp) {
    let mut pod = old.clone();
    keep(child(&mut pod, "spec"), new.get("spec").unwrap_or(&Value::Null), "ephemeralContainers");
    keep_identity(&mut pod, new);
    *new = pod;
}

/// The bookkeeping of writers belongs to the request, not to the part.
pub(super) fn keep_identity(pod: &mut Value, new: &Value) {
    if let (Some(metadata), Some(given)) = (pod.get_mut("metadata"), new.get("metadata")) {
        keep(metadata, given, "managedFields");
    }
}

fn validate(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    if old["metadata"]["annotations"].get(MIRROR).is_some() {
        let detail = "static pods do not support ephemeral containers";
        errors.push(FieldError::forbidden("", detail));
    }
    let list = items(new, "/spec/ephemeralContainers");
    for known in items(old, "/spec/ephemeralContainers") {
        let name = text(known, "/name");
        let verb = match list.iter().find(|container| text(container, "/name") == name) {
            None => "removed",
            Some(container) if container != known => "changed",
            Some(_) => continue,
        };
        let detail = format!("existing ephemeral containers \"{name}\" may not be {verb}\n");
        errors.push(FieldError::forbidden("spec.ephemeralContainers", detail));
    }
    each(new, &mut errors);
    errors
}

fn each(pod: &Value, errors: &mut Errors) {
    let spec = &pod["spec"];
    let volumes: BTreeSet<&str> =
        items(spec, "/volumes").iter().map(|volume| text(volume, "/name")).collect();
    let lists = ["/initContainers", "/containers"];
    let mut names: BTreeSet<&str> =
        lists.iter().flat_map(|list| items(spec, list)).map(|container| text(container, "/name")).collect();
    let targets = names.clone();
    for (index, container) in items(spec, "/ephemeralContainers").iter().enumerate() {
        let path = format!("spec.ephemeralContainers[{index}]");
        container::one(container, &path, &volumes, errors);
        let name = text(container, "/name");
        if !name.is_empty() && !names.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        let target = text(container, "/targetContainerName");
        if !target.is_empty() && !targets.contains(target) {
            errors.push(FieldError::not_found(format!("{path}.targetContainerName"), target));
        }
        for field in FORBIDDEN.iter().filter(|field| is_set(container.get(field))) {
            errors.push(FieldError::forbidden(format!("{path}.{field}"), NOT_HERE));
        }
    }
}

/// Empty objects and lists are as good as absent: defaulting leaves some.
fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Object(members)) => !members.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(ephemeral: Value) -> Value {
        json!({
            "metadata": {"name": "p", "labels": {"a": "1"}},
            "spec": {"containers": [{"name": "main", "image": "x"}], "ephemeralContainers": ephemeral},
        })
    }

    fn complaints(new: Value, old: &Value) -> Vec<String> {
        let mut new = new;
        prepare(&mut new, old, Timestamp::UNIX_EPOCH);
        validate(&new, old).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn debuggers_join_and_nothing_else_changes() {
        let old = pod(json!([]));
        let mut new = pod(json!([{"name": "debugger", "image": "x", "targetContainerName": "main"}]));
        new["spec"]["containers"][0]["image"] = json!("other");
        new["metadata"]["labels"] = json!({});
        prepare(&mut new, &old, Timestamp::UNIX_EPOCH);
        assert_eq!(new["spec"]["containers"], old["spec"]["containers"]);
        assert_eq!(new["metadata"], old["metadata"]);
        assert_eq!(new["spec"]["ephemeralContainers"][0]["name"], "debugger");
        assert!(validate(&new, &old).is_empty());
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let old = pod(json!([{"name": "one", "image": "x"}, {"name": "two", "image": "x"}]));
        assert_eq!(
            complaints(pod(json!([{"name": "one", "image": "y"}])), &old),
            [
                "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"one\" may not be changed\n",
                "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"two\" may not be removed\n",
            ]
        );
        let probing = json!([{"name": "main", "image": "x", "targetContainerName": "no", "ports": [{"containerPort": 1}]}]);
        assert_eq!(
            complaints(pod(probing), &pod(json!([]))),
            [
                "spec.ephemeralContainers[0].name: Duplicate value: \"main\"",
                "spec.ephemeralContainers[0].targetContainerName: Not found: \"no\"",
                "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
            ]
        );
    }
}
