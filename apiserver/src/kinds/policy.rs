//! Policies: disruption budgets, autoscalers, limit ranges, quotas, priorities.

use serde_json::{Value, json};

use super::amounts::to_thousandths;
use super::bounds::USER_PRIORITY;
use super::check::{self, Check, Errors, count_or_percent, immutable};
use super::default_rules::{Constant::*, Rule, fill};
use super::pod::qos::parse_quantity;
use super::walk::{child, each_mut, entries, int, items, join, set, set_absent, text};
use super::{Hooks, selector};
use crate::error::FieldError;

pub(super) const DISRUPTION_BUDGET: Hooks = Hooks {
    prepare_create: |budget| {
        let counts =
            json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0});
        set(budget, "status", counts);
    },
    validate: validate_budget,
    ..Hooks::NONE
};
pub(super) const AUTOSCALER: Hooks = Hooks {
    default: default_autoscaler,
    prepare_create: |scaler| set(scaler, "status", json!({"currentMetrics": null, "desiredReplicas": 0})),
    validate: validate_autoscaler,
    ..Hooks::NONE
};
/// Everything but the default of `minReplicas` is left to the stored form.
pub(super) const AUTOSCALER_V1: Hooks =
    Hooks { default: |scaler| fill(scaler, &[Rule("spec", "minReplicas", Number(1))]), ..Hooks::NONE };
pub(super) const LIMIT_RANGE: Hooks =
    Hooks { default: default_limit_range, validate: validate_limit_range, ..Hooks::NONE };
pub(super) const RESOURCE_QUOTA: Hooks = Hooks {
    default: |quota| to_thousandths(quota, &["spec.hard", "status.hard", "status.used"]),
    validate: validate_quota,
    ..Hooks::NONE
};
pub(super) const PRIORITY_CLASS: Hooks = Hooks {
    default: |class| fill(class, &[Rule("", "preemptionPolicy", Text("PreemptLowerPriority"))]),
    validate: validate_priority,
    validate_update: |new, old| {
        let mut errors = Vec::new();
        if new.get("value") != old.get("value") {
            errors.push(FieldError::forbidden("value", "may not be changed in an update."));
        }
        immutable(new, old, "/preemptionPolicy", &mut errors);
        errors
    },
    ..Hooks::NONE
};

fn validate_budget(budget: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = budget.get("spec").unwrap_or(&Value::Null);
    if spec.get("minAvailable").is_some() && spec.get("maxUnavailable").is_some() {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid("spec", spec.clone(), detail));
    }
    count_or_percent(spec, "spec", "minAvailable", true, &mut errors);
    count_or_percent(spec, "spec", "maxUnavailable", true, &mut errors);
    if let Some(pods) = spec.get("selector") {
        selector::validate(pods, "spec.selector", &mut errors);
    }
    check::one_of(
        spec,
        "spec",
        "unhealthyPodEvictionPolicy",
        &["AlwaysAllow", "IfHealthyBudget"],
        &mut errors,
    );
    errors
}

fn default_autoscaler(scaler: &mut Value) {
    fill(scaler, &[Rule("spec", "minReplicas", Number(1))]);
    let cpu = json!([{
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }]);
    each_mut(scaler, "spec", &mut |spec| {
        if items(spec, "/metrics").is_empty() {
            set(spec, "metrics", cpu.clone());
        }
    });
    each_mut(scaler, "spec.behavior", &mut default_behavior);
}

fn default_behavior(behavior: &mut Value) {
    let fastest = json!([
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ]);
    let all_at_once = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
    for (side, policies) in [("scaleUp", fastest), ("scaleDown", all_at_once)] {
        let rules = child(behavior, side);
        set_absent(rules, "policies", policies);
        set_absent(rules, "selectPolicy", "Max");
    }
    set_absent(child(behavior, "scaleUp"), "stabilizationWindowSeconds", 0);
}

fn validate_autoscaler(scaler: &Value) -> Errors {
    let mut errors = Vec::new();
    let (low, high) = (int(scaler, "/spec/minReplicas"), int(scaler, "/spec/maxReplicas").unwrap_or(0));
    if let Some(low) = low.filter(|low| *low < 1) {
        errors.push(FieldError::invalid("spec.minReplicas", low, "must be greater than or equal to 1"));
    }
    if high < 1 {
        errors.push(FieldError::invalid("spec.maxReplicas", high, "must be greater than 0"));
    }
    if low.is_some_and(|low| high < low) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid("spec.maxReplicas", high, detail));
    }
    let target =
        [Check::Required("spec.scaleTargetRef", "kind"), Check::Required("spec.scaleTargetRef", "name")];
    check::run(scaler, &target, &mut errors);
    errors
}

const LIMIT_LISTS: &[&str] = &[
    "spec.limits[].max",
    "spec.limits[].min",
    "spec.limits[].default",
    "spec.limits[].defaultRequest",
    "spec.limits[].maxLimitRequestRatio",
];

/// Limits of containers without a default are their maximum; requests follow the limits, or the minimum.
fn default_limit_range(range: &mut Value) {
    to_thousandths(range, LIMIT_LISTS);
    each_mut(range, "spec.limits[]", &mut |limit| {
        if text(limit, "/type") != "Container" {
            return;
        }
        for (source, target) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")]
        {
            let amounts: Vec<(String, Value)> =
                entries(limit, &format!("/{source}")).map(|(k, v)| (k.clone(), v.clone())).collect();
            for (name, amount) in amounts {
                set_absent(child(limit, target), &name, amount);
            }
        }
    });
}

fn validate_limit_range(range: &Value) -> Errors {
    let mut errors = Vec::new();
    let limits = items(range, "/spec/limits");
    for (index, limit) in limits.iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        let kind = text(limit, "/type");
        if limits[..index].iter().any(|other| text(other, "/type") == kind) {
            errors.push(FieldError::duplicate(join(&path, "type"), kind));
        }
        for (name, low) in entries(limit, "/min") {
            let high = entries(limit, "/max").find(|(key, _)| *key == name).map(|(_, high)| high);
            ordered(name, low, high, &path, &mut errors);
        }
    }
    errors
}

fn ordered(name: &str, low: &Value, high: Option<&Value>, path: &str, errors: &mut Errors) {
    let (Some(low_amount), Some(high_amount)) = (parse_quantity(low), high.and_then(parse_quantity)) else {
        return;
    };
    if low_amount.milli_value() > high_amount.milli_value() {
        let word = |amount: &Value| amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
        let detail =
            format!("min value {} is greater than max value {}", word(low), word(high.unwrap_or(low)));
        errors.push(FieldError::invalid(format!("{path}.min[{name}]"), low.clone(), detail));
    }
}

fn validate_quota(quota: &Value) -> Errors {
    let mut errors = Vec::new();
    for (name, amount) in entries(quota, "/spec/hard") {
        let path = format!("spec.hard[{name}]");
        check::value_named(name, &path, super::names::qualified, &mut errors);
        if parse_quantity(amount).is_some_and(|amount| amount.is_negative()) {
            errors.push(FieldError::invalid(path, amount.clone(), check::NOT_NEGATIVE));
        }
    }
    errors
}

fn validate_priority(class: &Value) -> Errors {
    let mut errors = Vec::new();
    let name = text(class, "/metadata/name");
    let value = int(class, "/value").unwrap_or(0);
    let known = matches!(name, "system-cluster-critical" | "system-node-critical");
    if name.starts_with("system-") && !known {
        let detail = "priority class names with 'system-' prefix are reserved for system use only. error: "
            .to_owned()
            + &format!("{name} is not a known system priority class");
        errors.push(FieldError::forbidden("metadata.name", detail));
    }
    if !known && value > USER_PRIORITY {
        let detail = format!("maximum allowed value of a user defined priority is {USER_PRIORITY}");
        errors.push(FieldError::forbidden("value", detail));
    }
    check::one_of(class, "", "preemptionPolicy", &["Never", "PreemptLowerPriority"], &mut errors);
    errors
}
