//! Validation of what steers a pod to nodes: tolerations, affinity terms, spread constraints, gates.

use serde_json::Value;

use super::super::check::{Errors, named, one_of, range, value_named};
use super::super::walk::{int, items, join, text};
use super::super::{names, selector};
use crate::error::FieldError;

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const UNSATISFIABLE: &[&str] = &["DoNotSchedule", "ScheduleAnyway"];
const NODE_OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

pub(super) fn validate(spec: &Value, path: &str, errors: &mut Errors) {
    for (index, toleration) in items(spec, "/tolerations").iter().enumerate() {
        self::toleration(toleration, &format!("{path}.tolerations[{index}]"), errors);
    }
    for (index, constraint) in items(spec, "/topologySpreadConstraints").iter().enumerate() {
        spread(constraint, &format!("{path}.topologySpreadConstraints[{index}]"), errors);
    }
    if let Some(affinity) = spec.get("affinity") {
        self::affinity(affinity, &join(path, "affinity"), errors);
    }
    for (index, gate) in items(spec, "/schedulingGates").iter().enumerate() {
        named(gate, &format!("{path}.schedulingGates[{index}]"), "name", names::qualified, errors);
    }
}

fn toleration(toleration: &Value, path: &str, errors: &mut Errors) {
    let (key, operator) = (text(toleration, "/key"), text(toleration, "/operator"));
    if !key.is_empty() {
        value_named(key, &join(path, "key"), names::qualified, errors);
    }
    if key.is_empty() && operator != "Exists" {
        let detail =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(FieldError::invalid(join(path, "operator"), operator, detail));
    }
    let effect = text(toleration, "/effect");
    if toleration.get("tolerationSeconds").is_some() && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(FieldError::invalid(join(path, "effect"), effect, detail));
    }
    match operator {
        "" | "Equal" => named(toleration, path, "value", names::label_value, errors),
        "Exists" if !text(toleration, "/value").is_empty() => {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.push(FieldError::invalid(join(path, "operator"), text(toleration, "/value"), detail));
        }
        "Exists" => {}
        other => errors.push(FieldError::not_supported(join(path, "operator"), other, &["Equal", "Exists"])),
    }
    one_of(toleration, path, "effect", EFFECTS, errors);
}

fn spread(constraint: &Value, path: &str, errors: &mut Errors) {
    let skew = int(constraint, "/maxSkew").unwrap_or(0);
    if skew <= 0 {
        errors.push(FieldError::invalid(join(path, "maxSkew"), skew, "must be greater than zero"));
    }
    if text(constraint, "/topologyKey").is_empty() {
        errors.push(FieldError::required(join(path, "topologyKey"), "can not be empty"));
    } else {
        named(constraint, path, "topologyKey", names::qualified, errors);
    }
    match text(constraint, "/whenUnsatisfiable") {
        "" => errors.push(FieldError::required(join(path, "whenUnsatisfiable"), "")),
        _ => one_of(constraint, path, "whenUnsatisfiable", UNSATISFIABLE, errors),
    }
    if let Some(labels) = constraint.get("labelSelector") {
        selector::validate(labels, &join(path, "labelSelector"), errors);
    }
}

fn affinity(affinity: &Value, path: &str, errors: &mut Errors) {
    if let Some(node) = affinity.get("nodeAffinity") {
        node_affinity(node, &join(path, "nodeAffinity"), errors);
    }
    for side in ["podAffinity", "podAntiAffinity"] {
        if let Some(terms) = affinity.get(side) {
            pod_affinity(terms, &join(path, side), errors);
        }
    }
}

fn node_affinity(node: &Value, path: &str, errors: &mut Errors) {
    if let Some(hard) = node.get("requiredDuringSchedulingIgnoredDuringExecution") {
        let path = join(path, "requiredDuringSchedulingIgnoredDuringExecution");
        let terms = items(hard, "/nodeSelectorTerms");
        if terms.is_empty() {
            let detail = "must have at least one node selector term";
            errors.push(FieldError::required(join(&path, "nodeSelectorTerms"), detail));
        }
        for (index, term) in terms.iter().enumerate() {
            node_term(term, &format!("{path}.nodeSelectorTerms[{index}]"), errors);
        }
    }
    for (index, soft) in items(node, "/preferredDuringSchedulingIgnoredDuringExecution").iter().enumerate() {
        let path = format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}]");
        range(soft, &path, "weight", (1, 100), errors);
        node_term(soft.get("preference").unwrap_or(&Value::Null), &join(&path, "preference"), errors);
    }
}

fn node_term(term: &Value, path: &str, errors: &mut Errors) {
    for (index, expression) in items(term, "/matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = items(expression, "/values").len();
        named(expression, &path, "key", names::qualified, errors);
        match text(expression, "/operator") {
            "In" | "NotIn" if values == 0 => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(join(&path, "values"), detail));
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(join(&path, "values"), detail));
            }
            "Gt" | "Lt" if values != 1 => {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.push(FieldError::required(join(&path, "values"), detail));
            }
            operator if !NODE_OPERATORS.contains(&operator) => {
                errors.push(FieldError::invalid(
                    join(&path, "operator"),
                    operator,
                    "not a valid selector operator",
                ));
            }
            _ => {}
        }
    }
}

fn pod_affinity(side: &Value, path: &str, errors: &mut Errors) {
    for (index, term) in items(side, "/requiredDuringSchedulingIgnoredDuringExecution").iter().enumerate() {
        pod_term(term, &format!("{path}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"), errors);
    }
    for (index, soft) in items(side, "/preferredDuringSchedulingIgnoredDuringExecution").iter().enumerate() {
        let path = format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}]");
        range(soft, &path, "weight", (1, 100), errors);
        pod_term(
            soft.get("podAffinityTerm").unwrap_or(&Value::Null),
            &join(&path, "podAffinityTerm"),
            errors,
        );
    }
}

fn pod_term(term: &Value, path: &str, errors: &mut Errors) {
    if text(term, "/topologyKey").is_empty() {
        errors.push(FieldError::required(join(path, "topologyKey"), "can not be empty"));
    } else {
        named(term, path, "topologyKey", names::qualified, errors);
    }
    for field in ["labelSelector", "namespaceSelector"] {
        if let Some(labels) = term.get(field) {
            selector::validate(labels, &join(path, field), errors);
        }
    }
    let namespaces = items(term, "/namespaces").iter().filter_map(Value::as_str).enumerate();
    namespaces.for_each(|(index, name)| {
        value_named(name, &format!("{path}.namespaces[{index}]"), names::dns_label, errors);
    });
}
