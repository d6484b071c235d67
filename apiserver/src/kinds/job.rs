//! Jobs and CronJobs.

use serde_json::{Value, json};

use super::bounds::CRON_JOB_NAME_BYTES;
use super::check::{self, Check, Errors, immutable, one_of};
use super::default_rules::{Constant::*, Rule, fill};
use super::pod::{defaults, validate as pod};
use super::walk::{child, each_mut, flag, int, set, set_absent, text};
use super::{Hooks, names, schedule};
use crate::error::FieldError;

pub(super) const JOB: Hooks = Hooks {
    default: default_job,
    prepare_create: own_selector,
    validate: validate_job,
    validate_update: update_job,
    fields: |job| vec![("status.successful", int(job, "/status/succeeded").unwrap_or(0).to_string())],
    ..Hooks::NONE
};

pub(super) const CRON_JOB: Hooks =
    Hooks { default: default_cron_job, validate: validate_cron_job, name: cron_job_name, ..Hooks::NONE };

fn default_job(job: &mut Value) {
    if let Some(spec) = job.get_mut("spec").filter(|spec| spec.is_object()) {
        default_spec(spec);
    }
    let Some(labels) = job.pointer("/spec/template/metadata/labels").cloned() else { return };
    each_mut(job, "metadata", &mut |metadata| set_absent(metadata, "labels", labels.clone()));
}

fn default_spec(spec: &mut Value) {
    if let Some(template) = spec.get_mut("template") {
        defaults::template(template);
    }
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        set(spec, "completions", 1);
    }
    set_absent(spec, "parallelism", 1);
    let per_index = spec.get("backoffLimitPerIndex").is_some();
    set_absent(spec, "backoffLimit", if per_index { i64::from(i32::MAX) } else { 6 });
    set_absent(spec, "completionMode", "NonIndexed");
    set_absent(spec, "suspend", false);
    let replacement = if spec.get("podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
    set_absent(spec, "podReplacementPolicy", replacement);
    fill(spec, &[Rule("podFailurePolicy.rules[].onPodConditions[]", "status", Text("True"))]);
}

/// Pods of two jobs never mix: the selector is the job's uid unless the client insists on its own.
fn own_selector(job: &mut Value) {
    if flag(job, "/spec/manualSelector") || job.get("spec").is_none() {
        return;
    }
    let (uid, name) = (text(job, "/metadata/uid").to_owned(), text(job, "/metadata/name").to_owned());
    let spec = child(job, "spec");
    let labels = child(child(child(spec, "template"), "metadata"), "labels");
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        set(labels, key, value.as_str());
    }
    let own = json!({"batch.kubernetes.io/controller-uid": uid});
    match spec.get_mut("selector") {
        Some(selector) => set(child(selector, "matchLabels"), "batch.kubernetes.io/controller-uid", uid),
        None => set(spec, "selector", json!({"matchLabels": own})),
    }
}

const JOB_COUNTS: &[Check] = &[
    Check::NotNegative("spec", "parallelism"),
    Check::NotNegative("spec", "completions"),
    Check::NotNegative("spec", "activeDeadlineSeconds"),
    Check::NotNegative("spec", "backoffLimit"),
    Check::NotNegative("spec", "ttlSecondsAfterFinished"),
    Check::NotNegative("spec", "backoffLimitPerIndex"),
    Check::NotNegative("spec", "maxFailedIndexes"),
    Check::OneOf("spec", "completionMode", &["Indexed", "NonIndexed"]),
    Check::OneOf("spec", "podReplacementPolicy", &["Failed", "TerminatingOrFailed"]),
];

const RULES: pod::TemplateRules =
    pod::TemplateRules { owner: "Job", restart_policies: &["OnFailure", "Never"], deadline: true };

fn validate_job(job: &Value) -> Errors {
    let mut errors = Vec::new();
    check::run(job, JOB_COUNTS, &mut errors);
    let selector = job.pointer("/spec/selector");
    if selector.is_none() {
        errors.push(FieldError::required("spec.selector", ""));
    }
    if text(job, "/spec/completionMode") == "Indexed" && job.pointer("/spec/completions").is_none() {
        errors.push(FieldError::required("spec.completions", "when completion mode is Indexed"));
    }
    pod::template(job, selector, &RULES, &mut errors);
    errors
}

fn update_job(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for field in ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy"] {
        immutable(new, old, &format!("/spec/{field}"), &mut errors);
    }
    if text(new, "/spec/completionMode") != "Indexed" {
        immutable(new, old, "/spec/completions", &mut errors);
    }
    // A job that has not started yet may still be aimed at other nodes.
    let unstarted = flag(old, "/spec/suspend") && old.pointer("/status/startTime").is_none();
    if !unstarted {
        immutable(new, old, "/spec/template", &mut errors);
    }
    errors
}

fn default_cron_job(cron_job: &mut Value) {
    fill(
        cron_job,
        &[
            Rule("spec", "concurrencyPolicy", Text("Allow")),
            Rule("spec", "suspend", Flag(false)),
            Rule("spec", "successfulJobsHistoryLimit", Number(3)),
            Rule("spec", "failedJobsHistoryLimit", Number(1)),
        ],
    );
    // Counts of the job template are left to the Job that is made of it.
    if let Some(template) = cron_job.pointer_mut("/spec/jobTemplate/spec/template") {
        defaults::template(template);
    }
}

const CRON_JOB_CHECKS: &[Check] = &[
    Check::OneOf("spec", "concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    Check::NotNegative("spec", "startingDeadlineSeconds"),
    Check::NotNegative("spec", "successfulJobsHistoryLimit"),
    Check::NotNegative("spec", "failedJobsHistoryLimit"),
];

fn validate_cron_job(cron_job: &Value) -> Errors {
    let mut errors = Vec::new();
    check::run(cron_job, CRON_JOB_CHECKS, &mut errors);
    let line = text(cron_job, "/spec/schedule");
    if line.is_empty() {
        errors.push(FieldError::required("spec.schedule", ""));
    } else if let Err(why) = schedule::check(line) {
        errors.push(FieldError::invalid("spec.schedule", line, why));
    }
    if let Some(zone) = cron_job.pointer("/spec/timeZone").and_then(Value::as_str) {
        time_zone(zone, &mut errors);
    }
    let template = cron_job.pointer("/spec/jobTemplate/spec/template/spec").unwrap_or(&Value::Null);
    let path = "spec.jobTemplate.spec.template.spec";
    pod::lone_template(&json!({ "spec": template }), "spec.jobTemplate.spec.template", &mut errors);
    one_of(template, path, "restartPolicy", RULES.restart_policies, &mut errors);
    errors
}

fn time_zone(zone: &str, errors: &mut Errors) {
    if zone.is_empty() {
        errors.push(FieldError::invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string"));
    } else if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(FieldError::invalid("spec.timeZone", zone, detail));
    } else if jiff::tz::TimeZone::get(zone).is_err() {
        errors.push(FieldError::invalid("spec.timeZone", zone, format!("unknown time zone {zone}")));
    }
}

fn cron_job_name(name: &str) -> Vec<String> {
    let mut found = names::dns_subdomain(name);
    if name.len() > CRON_JOB_NAME_BYTES {
        found.push(format!("must be no more than {CRON_JOB_NAME_BYTES} characters"));
    }
    found
}
