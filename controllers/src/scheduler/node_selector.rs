//! Node selectors and node selector terms, for filter and score of node affinity.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};

use super::snapshot::NodeInfo;

/// All requirements of a term; a term without any matches nothing.
pub fn matches(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let by_label = term.match_expressions.iter().flatten().map(|rule| (rule, node.label(&rule.key)));
    let by_field = term.match_fields.iter().flatten().map(|rule| (rule, field(rule, node)));
    let mut rules = by_label.chain(by_field).peekable();
    rules.peek().is_some() && rules.all(|(rule, have)| satisfies(rule, have))
}

fn field<'a>(rule: &NodeSelectorRequirement, node: &'a NodeInfo) -> Option<&'a str> {
    (rule.key == "metadata.name").then_some(node.name.as_str())
}

fn satisfies(rule: &NodeSelectorRequirement, have: Option<&str>) -> bool {
    let values = || rule.values.iter().flatten();
    match rule.operator.as_str() {
        "In" => have.is_some_and(|have| values().any(|value| value == have)),
        "NotIn" => !have.is_some_and(|have| values().any(|value| value == have)),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        "Gt" => compare(have, values().next()).is_some_and(|(have, bound)| have > bound),
        "Lt" => compare(have, values().next()).is_some_and(|(have, bound)| have < bound),
        // Validation admits no other operator.
        _ => false,
    }
}

fn compare(have: Option<&str>, bound: Option<&String>) -> Option<(i64, i64)> {
    Some((have?.parse().ok()?, bound?.parse().ok()?))
}
