//! Controllers of pods: Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, and their kin.

use serde_json::{Map, Value, json};

use super::check::{self, Check, Errors, count_or_percent, immutable, not_negative, one_of, percent};
use super::default_rules::{Constant::*, Rule, fill};
use super::pod::{defaults, validate as pod};
use super::walk::{each_mut, entries, int, keep, set, set_absent, text};
use super::{Hooks, selector};
use crate::error::FieldError;

pub(super) const DEPLOYMENT: Hooks = Hooks {
    default: default_deployment,
    validate: validate_deployment,
    validate_update: same_selector,
    ..Hooks::NONE
};
pub(super) const REPLICA_SET: Hooks = Hooks {
    default: default_replica_set,
    prepare_create: |set_| set(set_, "status", json!({"replicas": 0})),
    validate: validate_replica_set,
    validate_update: same_selector,
    fields: replicas_field,
    ..Hooks::NONE
};
pub(super) const STATEFUL_SET: Hooks = Hooks {
    default: default_stateful_set,
    prepare_create: |set_| set(set_, "status", json!({"availableReplicas": 0, "replicas": 0})),
    validate: validate_stateful_set,
    validate_update: stateful_set_update,
    ..Hooks::NONE
};
pub(super) const DAEMON_SET: Hooks = Hooks {
    default: default_daemon_set,
    prepare_create: |set_| {
        let counts = json!({
            "currentNumberScheduled": 0,
            "desiredNumberScheduled": 0,
            "numberMisscheduled": 0,
            "numberReady": 0,
        });
        set(set_, "status", counts);
    },
    validate: validate_daemon_set,
    validate_update: same_selector,
    ..Hooks::NONE
};
pub(super) const REPLICATION_CONTROLLER: Hooks = Hooks {
    default: default_replication_controller,
    prepare_create: |rc| set(rc, "status", json!({"replicas": 0})),
    validate: validate_replication_controller,
    fields: replicas_field,
    ..Hooks::NONE
};
pub(super) const POD_TEMPLATE: Hooks = Hooks {
    default: |object| {
        if let Some(template) = object.get_mut("template") {
            defaults::template(template);
        }
    },
    validate: |object| {
        let mut errors = Vec::new();
        pod::lone_template(object.get("template").unwrap_or(&Value::Null), "template", &mut errors);
        errors
    },
    ..Hooks::NONE
};
pub(super) const CONTROLLER_REVISION: Hooks = Hooks {
    validate: validate_revision,
    validate_update: |new, old| {
        let mut errors = Vec::new();
        immutable(new, old, "/data", &mut errors);
        errors
    },
    ..Hooks::NONE
};

fn template_defaults(owner: &mut Value) {
    if let Some(template) = owner.pointer_mut("/spec/template") {
        defaults::template(template);
    }
}

fn default_deployment(deployment: &mut Value) {
    template_defaults(deployment);
    fill(
        deployment,
        &[
            Rule("spec", "replicas", Number(1)),
            Rule("spec", "strategy", Object),
            Rule("spec.strategy", "type", Text("RollingUpdate")),
            Rule("spec", "revisionHistoryLimit", Number(10)),
            Rule("spec", "progressDeadlineSeconds", Number(600)),
        ],
    );
    if text(deployment, "/spec/strategy/type") == "RollingUpdate" {
        fill(
            deployment,
            &[
                Rule("spec.strategy", "rollingUpdate", Object),
                Rule("spec.strategy.rollingUpdate", "maxUnavailable", Text("25%")),
                Rule("spec.strategy.rollingUpdate", "maxSurge", Text("25%")),
            ],
        );
    }
}

fn default_replica_set(set: &mut Value) {
    template_defaults(set);
    fill(set, &[Rule("spec", "replicas", Number(1))]);
}

fn default_stateful_set(set: &mut Value) {
    template_defaults(set);
    fill(
        set,
        &[
            Rule("spec", "podManagementPolicy", Text("OrderedReady")),
            Rule("spec", "updateStrategy", Object),
            Rule("spec.updateStrategy", "type", Text("RollingUpdate")),
            Rule("spec", "replicas", Number(1)),
            Rule("spec", "revisionHistoryLimit", Number(10)),
            Rule("spec", "serviceName", Text("")),
            Rule("spec", "persistentVolumeClaimRetentionPolicy", Object),
            Rule("spec.persistentVolumeClaimRetentionPolicy", "whenDeleted", Text("Retain")),
            Rule("spec.persistentVolumeClaimRetentionPolicy", "whenScaled", Text("Retain")),
            Rule("spec.volumeClaimTemplates[]", "apiVersion", Text("v1")),
            Rule("spec.volumeClaimTemplates[]", "kind", Text("PersistentVolumeClaim")),
            Rule("spec.volumeClaimTemplates[].spec", "volumeMode", Text("Filesystem")),
            Rule("spec.volumeClaimTemplates[]", "status", Object),
            Rule("spec.volumeClaimTemplates[].status", "phase", Text("Pending")),
        ],
    );
    if text(set, "/spec/updateStrategy/type") == "RollingUpdate" {
        fill(
            set,
            &[
                Rule("spec.updateStrategy", "rollingUpdate", Object),
                Rule("spec.updateStrategy.rollingUpdate", "partition", Number(0)),
            ],
        );
    }
}

fn default_daemon_set(set: &mut Value) {
    template_defaults(set);
    fill(
        set,
        &[
            Rule("spec", "updateStrategy", Object),
            Rule("spec.updateStrategy", "type", Text("RollingUpdate")),
            Rule("spec", "revisionHistoryLimit", Number(10)),
        ],
    );
    if text(set, "/spec/updateStrategy/type") == "RollingUpdate" {
        fill(
            set,
            &[
                Rule("spec.updateStrategy", "rollingUpdate", Object),
                Rule("spec.updateStrategy.rollingUpdate", "maxUnavailable", Number(1)),
                Rule("spec.updateStrategy.rollingUpdate", "maxSurge", Number(0)),
            ],
        );
    }
}

/// The selector and the labels follow the template's labels when they are left out.
fn default_replication_controller(rc: &mut Value) {
    template_defaults(rc);
    fill(rc, &[Rule("spec", "replicas", Number(1))]);
    let Some(labels) = rc.pointer("/spec/template/metadata/labels").cloned() else { return };
    each_mut(rc, "spec", &mut |spec| set_absent(spec, "selector", labels.clone()));
    each_mut(rc, "metadata", &mut |metadata| set_absent(metadata, "labels", labels.clone()));
}

const ALWAYS: &[&str] = &["Always"];

fn rules(owner: &'static str) -> pod::TemplateRules {
    pod::TemplateRules { owner, restart_policies: ALWAYS, deadline: false }
}

const COUNTS: &[Check] = &[
    Check::NotNegative("spec", "replicas"),
    Check::NotNegative("spec", "minReadySeconds"),
    Check::NotNegative("spec", "revisionHistoryLimit"),
    Check::NotNegative("spec", "progressDeadlineSeconds"),
];

/// Counts, selector and template; `word` names the kind in the complaint about an empty selector.
fn common(owner: &Value, kind: &'static str, word: &str) -> Errors {
    let mut errors = Vec::new();
    check::run(owner, COUNTS, &mut errors);
    let selector = owner.pointer("/spec/selector");
    match selector {
        // No selector at all selects nothing.
        None => errors.extend([FieldError::required("spec.selector", ""), pod::unselected(owner)]),
        Some(selector) => {
            selector::validate(selector, "spec.selector", &mut errors);
            if selector::is_empty(Some(selector)) {
                let detail = format!("empty selector is invalid for {word}");
                errors.push(FieldError::invalid("spec.selector", selector.clone(), detail));
            }
        }
    }
    pod::template(owner, selector, &rules(kind), &mut errors);
    errors
}

fn validate_deployment(deployment: &Value) -> Errors {
    let mut errors = common(deployment, "Deployment", "deployment");
    let strategy = deployment.pointer("/spec/strategy").unwrap_or(&Value::Null);
    let path = "spec.strategy";
    one_of(strategy, path, "type", &["Recreate", "RollingUpdate"], &mut errors);
    match (text(strategy, "/type"), strategy.get("rollingUpdate")) {
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", detail));
        }
        ("RollingUpdate", Some(update)) => rolling_update(update, "spec.strategy.rollingUpdate", &mut errors),
        _ => {}
    }
    let deadline = int(deployment, "/spec/progressDeadlineSeconds");
    let ready = int(deployment, "/spec/minReadySeconds").unwrap_or(0);
    if let Some(deadline) = deadline.filter(|seconds| *seconds <= ready) {
        let detail = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid("spec.progressDeadlineSeconds", deadline, detail));
    }
    errors
}

fn rolling_update(update: &Value, path: &str, errors: &mut Errors) {
    count_or_percent(update, path, "maxUnavailable", true, errors);
    count_or_percent(update, path, "maxSurge", false, errors);
    if is_zero(update.get("maxUnavailable")) && is_zero(update.get("maxSurge")) {
        let bad = update.get("maxUnavailable").cloned().unwrap_or(Value::Null);
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(format!("{path}.maxUnavailable"), bad, detail));
    }
}

fn is_zero(amount: Option<&Value>) -> bool {
    match amount {
        Some(Value::String(text)) => percent(text) == Some(0),
        Some(number) => number.as_i64() == Some(0),
        None => true,
    }
}

fn validate_replica_set(set: &Value) -> Errors {
    common(set, "ReplicaSet", "deployment")
}

fn validate_stateful_set(set: &Value) -> Errors {
    let mut errors = common(set, "StatefulSet", "statefulset");
    let spec = set.get("spec").unwrap_or(&Value::Null);
    one_of(spec, "spec", "podManagementPolicy", &["OrderedReady", "Parallel"], &mut errors);
    let strategy = spec.get("updateStrategy").unwrap_or(&Value::Null);
    let path = "spec.updateStrategy";
    let kind = text(strategy, "/type");
    if !matches!(kind, "OnDelete" | "RollingUpdate") {
        errors.push(FieldError::invalid(
            format!("{path}.type"),
            strategy.clone(),
            "must be 'RollingUpdate' or 'OnDelete'",
        ));
    }
    if let Some(update) = strategy.get("rollingUpdate") {
        if kind == "OnDelete" {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            errors.push(FieldError::invalid(format!("{path}.rollingUpdate"), update.clone(), detail));
        }
        not_negative(update, &format!("{path}.rollingUpdate"), "partition", &mut errors);
    }
    errors
}

fn validate_daemon_set(set: &Value) -> Errors {
    let mut errors = common(set, "DaemonSet", "daemonset");
    let strategy = set.pointer("/spec/updateStrategy").unwrap_or(&Value::Null);
    one_of(strategy, "spec.updateStrategy", "type", &["RollingUpdate", "OnDelete"], &mut errors);
    if let Some(update) = strategy.get("rollingUpdate") {
        let path = "spec.updateStrategy.rollingUpdate";
        count_or_percent(update, path, "maxUnavailable", true, &mut errors);
        count_or_percent(update, path, "maxSurge", true, &mut errors);
        let (unavailable, surge) = (update.get("maxUnavailable"), update.get("maxSurge"));
        let shown = |amount: Option<&Value>| amount.cloned().unwrap_or(Value::Null);
        match (is_zero(unavailable), is_zero(surge)) {
            (true, true) => {
                let detail = "cannot be 0 when maxSurge is 0";
                errors.push(FieldError::invalid(
                    format!("{path}.maxUnavailable"),
                    shown(unavailable),
                    detail,
                ));
            }
            (false, false) => {
                let detail = "may not be set when maxUnavailable is non-zero";
                errors.push(FieldError::invalid(format!("{path}.maxSurge"), shown(surge), detail));
            }
            (true, false) | (false, true) => {}
        }
    }
    errors
}

fn validate_replication_controller(rc: &Value) -> Errors {
    let mut errors = Vec::new();
    check::run(rc, COUNTS, &mut errors);
    let labels: Map<String, Value> =
        entries(rc, "/spec/selector").map(|(k, v)| (k.clone(), v.clone())).collect();
    if labels.is_empty() {
        errors.push(FieldError::required("spec.selector", ""));
    }
    pod::template(rc, Some(&json!({"matchLabels": labels})), &rules("ReplicationController"), &mut errors);
    errors
}

fn validate_revision(revision: &Value) -> Errors {
    let mut errors = Vec::new();
    not_negative(revision, "", "revision", &mut errors);
    if revision.get("data").is_none() {
        errors.push(FieldError::required("data", "data is mandatory"));
    }
    errors
}

fn same_selector(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    immutable(new, old, "/spec/selector", &mut errors);
    errors
}

fn stateful_set_update(new: &Value, old: &Value) -> Errors {
    let mut masked = new.get("spec").cloned().unwrap_or(Value::Null);
    let before = old.get("spec").cloned().unwrap_or(Value::Null);
    const MUTABLE: &[&str] = &[
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    MUTABLE.iter().for_each(|field| keep(&mut masked, &before, field));
    if masked == before {
        return Vec::new();
    }
    let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                  'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                  'minReadySeconds' are forbidden";
    vec![FieldError::forbidden("spec", detail)]
}

fn replicas_field(object: &Value) -> Vec<(&'static str, String)> {
    vec![("status.replicas", int(object, "/status/replicas").unwrap_or(0).to_string())]
}
