//! Configuration of the server itself: webhooks, flow control, runtime classes.

use serde_json::{Value, json};

use super::Hooks;
use super::check::{self, Check, Errors, immutable};
use super::default_rules::{Constant::*, Rule, fill};
use super::walk::{each_mut, set_absent, text};

pub(super) const WEBHOOKS: Hooks =
    Hooks { default: default_webhooks, validate: validate_webhooks, ..Hooks::NONE };
pub(super) const RUNTIME_CLASS: Hooks = Hooks {
    validate: |class| {
        let mut errors = Vec::new();
        check::run(
            class,
            &[Check::Required("", "handler"), Check::Named("", "handler", super::names::dns_label)],
            &mut errors,
        );
        errors
    },
    validate_update: |new, old| {
        let mut errors = Vec::new();
        immutable(new, old, "/handler", &mut errors);
        errors
    },
    ..Hooks::NONE
};
pub(super) const FLOW_SCHEMA: Hooks = Hooks {
    default: |schema| fill(schema, &[Rule("spec", "matchingPrecedence", Number(1000))]),
    validate: |schema| {
        let mut errors = Vec::new();
        check::run(
            schema,
            &[
                Check::Range("spec", "matchingPrecedence", 1, 10000),
                Check::Required("spec.priorityLevelConfiguration", "name"),
            ],
            &mut errors,
        );
        errors
    },
    ..Hooks::NONE
};
pub(super) const PRIORITY_LEVEL: Hooks = Hooks {
    default: default_priority_level,
    validate: |level| {
        let mut errors = Vec::new();
        let checks = [Check::Required("spec", "type"), Check::OneOf("spec", "type", &["Exempt", "Limited"])];
        check::run(level, &checks, &mut errors);
        errors
    },
    ..Hooks::NONE
};

fn default_webhooks(configuration: &mut Value) {
    fill(
        configuration,
        &[
            Rule("webhooks[]", "failurePolicy", Text("Fail")),
            Rule("webhooks[]", "matchPolicy", Text("Equivalent")),
            Rule("webhooks[]", "namespaceSelector", Object),
            Rule("webhooks[]", "objectSelector", Object),
            Rule("webhooks[]", "timeoutSeconds", Number(10)),
            Rule("webhooks[].rules[]", "scope", Text("*")),
            Rule("webhooks[].clientConfig.service", "port", Number(443)),
        ],
    );
    if text(configuration, "/kind") == "MutatingWebhookConfiguration" {
        fill(configuration, &[Rule("webhooks[]", "reinvocationPolicy", Text("Never"))]);
    }
}

fn validate_webhooks(configuration: &Value) -> Errors {
    let mut errors = Vec::new();
    check::run(
        configuration,
        &[
            Check::Required("webhooks[]", "name"),
            Check::Required("webhooks[]", "sideEffects"),
            Check::Required("webhooks[]", "admissionReviewVersions"),
            Check::OneOf("webhooks[]", "failurePolicy", &["Fail", "Ignore"]),
            Check::OneOf("webhooks[]", "matchPolicy", &["Equivalent", "Exact"]),
            Check::OneOf("webhooks[]", "sideEffects", &["None", "NoneOnDryRun"]),
            Check::Range("webhooks[]", "timeoutSeconds", 1, 30),
        ],
        &mut errors,
    );
    errors
}

fn default_priority_level(level: &mut Value) {
    fill(
        level,
        &[
            Rule("spec.limited", "nominalConcurrencyShares", Number(30)),
            Rule("spec.limited", "lendablePercent", Number(0)),
            Rule("spec.limited.limitResponse.queuing", "queues", Number(64)),
            Rule("spec.limited.limitResponse.queuing", "handSize", Number(8)),
            Rule("spec.limited.limitResponse.queuing", "queueLengthLimit", Number(50)),
        ],
    );
    if text(level, "/spec/type") == "Exempt" {
        each_mut(level, "spec", &mut |spec| {
            set_absent(spec, "exempt", json!({"nominalConcurrencyShares": 0, "lendablePercent": 0}));
        });
    }
}
