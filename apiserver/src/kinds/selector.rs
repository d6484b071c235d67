//! `metav1.LabelSelector` as JSON: validation, and whether it selects a label map.

use std::collections::BTreeMap;

use balsa_proto::meta::selector::Selector;
use serde_json::Value;

use super::check::{Errors, value_named};
use super::walk::{entries, items, join, text};
use super::{lifecycle, names};
use crate::error::FieldError;

/// Checks a label selector object found at `path`.
pub(super) fn validate(selector: &Value, path: &str, errors: &mut Errors) {
    lifecycle::labels(selector, "/matchLabels", &join(path, "matchLabels"), errors);
    for (index, expression) in items(selector, "/matchExpressions").iter().enumerate() {
        validate_expression(expression, &format!("{path}.matchExpressions[{index}]"), errors);
    }
}

fn validate_expression(expression: &Value, path: &str, errors: &mut Errors) {
    let values = items(expression, "/values");
    match text(expression, "/operator") {
        "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
            join(path, "values"),
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
            join(path, "values"),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            errors.push(FieldError::invalid(join(path, "operator"), other, "not a valid selector operator"))
        }
    }
    value_named(text(expression, "/key"), &join(path, "key"), names::qualified, errors);
    for (index, value) in values.iter().filter_map(Value::as_str).enumerate() {
        value_named(value, &format!("{path}.values[{index}]"), names::label_value, errors);
    }
}

/// True for `{}` and for absence: it would select everything.
pub(super) fn is_empty(selector: Option<&Value>) -> bool {
    selector.is_none_or(|s| {
        entries(s, "/matchLabels").next().is_none() && items(s, "/matchExpressions").is_empty()
    })
}

/// False also for a selector that does not parse.
pub(super) fn selects(selector: &Value, labels: Option<&Value>) -> bool {
    let Ok(parsed) = serde_json::from_value(selector.clone()) else { return false };
    let Ok(selector) = Selector::from_label_selector(&parsed) else { return false };
    selector.matches(&label_map(labels))
}

/// A JSON label map with only its string values.
pub(super) fn label_map(labels: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = labels.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
