//! `pods/resize`: the cpu and memory of containers that run, and nothing else.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::Part;
use super::super::check::Errors;
use super::super::walk::{each_mut, items, keep, text};
use super::{ephemeral, qos, validate};
use crate::error::FieldError;

pub(in crate::kinds) const PART: Part = Part { prepare, validate: validate_resize };

const LISTS: &[&str] = &["containers", "initContainers"];
/// What can be changed while a container runs.
const RESIZABLE: &[&str] = &["cpu", "memory"];

/// The old pod with the new resources, container by container of the same name.
fn prepare(new: &mut Value, old: &Value, _: Timestamp) {
    let mut pod = old.clone();
    for list in LISTS {
        let wanted = items(new, &format!("/spec/{list}"));
        each_mut(&mut pod, &format!("spec.{list}[]"), &mut |container| {
            let same = wanted.iter().find(|given| text(given, "/name") == text(container, "/name"));
            if let Some(given) = same {
                keep(container, given, "resources");
                keep(container, given, "resizePolicy");
            }
        });
    }
    ephemeral::keep_identity(&mut pod, new);
    *new = pod;
}

fn validate_resize(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let (class, before) = (qos::class(new), qos::class(old));
    if class != before {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid("spec", class, detail));
    }
    for list in LISTS {
        let pairs = items(new, &format!("/spec/{list}")).iter().zip(items(old, &format!("/spec/{list}")));
        for (index, (now, before)) in pairs.enumerate() {
            let path = format!("spec.{list}[{index}].resources");
            for side in ["requests", "limits"] {
                changes(side, now, before, &path, &mut errors);
            }
        }
    }
    validate::spec(&new["spec"], "spec", &mut errors);
    errors
}

fn changes(side: &str, now: &Value, before: &Value, path: &str, errors: &mut Errors) {
    let none = json!({});
    let of = |container: &Value| -> Map<String, Value> {
        let amounts = container.pointer(&format!("/resources/{side}")).unwrap_or(&none);
        amounts.as_object().cloned().unwrap_or_default()
    };
    let (now, before) = (of(now), of(before));
    let fixed = |amounts: &Map<String, Value>| -> Map<String, Value> {
        amounts.iter().filter(|(name, _)| !RESIZABLE.contains(&name.as_str())).map(pair).collect()
    };
    if fixed(&now) != fixed(&before) {
        errors.push(FieldError::forbidden("spec", "only cpu and memory resources are mutable"));
    }
    if before.keys().any(|name| RESIZABLE.contains(&name.as_str()) && !now.contains_key(name)) {
        let detail = format!("resource {side} cannot be removed");
        errors.push(FieldError::forbidden(format!("{path}.{side}"), detail));
    }
}

fn pair((name, amount): (&String, &Value)) -> (String, Value) {
    (name.clone(), amount.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(requests: Value) -> Value {
        json!({
            "metadata": {"name": "p"},
            "spec": {
                "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
                "containers": [{
                    "name": "main", "image": "x", "imagePullPolicy": "Always",
                    "terminationMessagePolicy": "File", "resources": {"requests": requests},
                }],
            },
        })
    }

    fn complaints(wanted: Value) -> Vec<String> {
        let old = pod(json!({"cpu": "100m", "ephemeral-storage": "1Gi"}));
        let mut new = wanted;
        prepare(&mut new, &old, Timestamp::UNIX_EPOCH);
        assert_eq!(new["spec"]["containers"][0]["image"], "x");
        validate_resize(&new, &old).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn cpu_and_memory_change_and_the_class_stays() {
        let mut bigger = pod(json!({"cpu": "200m", "memory": "1Mi", "ephemeral-storage": "1Gi"}));
        bigger["spec"]["containers"][0]["image"] = json!("other");
        assert_eq!(complaints(bigger), Vec::<String>::new());
        assert_eq!(
            complaints(pod(json!({"cpu": "200m"}))),
            ["spec: Forbidden: only cpu and memory resources are mutable"]
        );
        assert_eq!(
            complaints(pod(json!({"ephemeral-storage": "1Gi"}))),
            [
                "spec: Invalid value: \"BestEffort\": Pod QOS Class may not change as a result of resizing",
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ]
        );
    }
}
