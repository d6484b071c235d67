//! `metav1.LabelSelector` against a set of labels.
//!
//! An empty selector matches everything; a missing one nothing. Source: Kubernetes API conventions, label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

pub type Labels = BTreeMap<String, String>;

pub fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    includes(selector.match_labels.as_ref(), labels)
        && selector.match_expressions.iter().flatten().all(|rule| satisfies(rule, labels))
}

/// Whether `labels` has every pair of `wanted`.
pub fn includes(wanted: Option<&Labels>, labels: Option<&Labels>) -> bool {
    wanted
        .into_iter()
        .flatten()
        .all(|(name, value)| labels.and_then(|labels| labels.get(name)).is_some_and(|have| have == value))
}

pub fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

fn satisfies(rule: &LabelSelectorRequirement, labels: Option<&Labels>) -> bool {
    let have = labels.and_then(|labels| labels.get(&rule.key));
    let listed = || have.is_some_and(|have| rule.values.iter().flatten().any(|value| value == have));
    match rule.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        // Validation admits no other operator.
        _ => false,
    }
}
