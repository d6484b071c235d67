//! Validation of a pod's spec, whether in a pod or in a template.

use serde_json::Value;

use super::super::check::{self, Check, Errors, named, not_negative, one_of, range, required, value_named};
use super::super::walk::{entries, flag, items, join, text};
use super::super::{lifecycle, names, selector};
use super::{container, scheduling, volume};
use crate::error::FieldError;

const RESTART_POLICIES: &[&str] = &["Always", "Never", "OnFailure"];
const DNS_POLICIES: &[&str] = &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];

/// `spec` is at `path` (`spec`, `spec.template.spec`, …).
pub(super) fn spec(spec: &Value, path: &str, errors: &mut Errors) {
    let volumes = volume::all(items(spec, "/volumes"), &join(path, "volumes"), errors);
    container::all(spec, path, &volumes, errors);
    one_of(spec, path, "restartPolicy", RESTART_POLICIES, errors);
    one_of(spec, path, "dnsPolicy", DNS_POLICIES, errors);
    dns_config(spec, path, errors);
    labels(spec, path, errors);
    named(spec, path, "serviceAccountName", names::dns_subdomain, errors);
    named(spec, path, "nodeName", names::dns_subdomain, errors);
    named(spec, path, "hostname", names::dns_label, errors);
    named(spec, path, "subdomain", names::dns_label, errors);
    named(spec, path, "priorityClassName", names::dns_subdomain, errors);
    named(spec, path, "runtimeClassName", names::dns_subdomain, errors);
    range(spec, path, "activeDeadlineSeconds", (1, i64::from(i32::MAX)), errors);
    not_negative(spec, path, "terminationGracePeriodSeconds", errors);
    scheduling::validate(spec, path, errors);
    host_aliases(spec, path, errors);
    if flag(spec, "/hostPID") && flag(spec, "/shareProcessNamespace") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(join(path, "shareProcessNamespace"), true, detail));
    }
}

fn labels(spec: &Value, path: &str, errors: &mut Errors) {
    lifecycle::labels(spec, "/nodeSelector", &join(path, "nodeSelector"), errors);
}

fn dns_config(spec: &Value, path: &str, errors: &mut Errors) {
    if text(spec, "/dnsPolicy") != "None" {
        return;
    }
    if spec.get("dnsConfig").is_none() {
        let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
        errors.push(FieldError::required(join(path, "dnsConfig"), detail));
    } else if items(spec, "/dnsConfig/nameservers").is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(FieldError::required(join(path, "dnsConfig.nameservers"), detail));
    }
}

fn host_aliases(spec: &Value, path: &str, errors: &mut Errors) {
    for (index, alias) in items(spec, "/hostAliases").iter().enumerate() {
        let path = format!("{path}.hostAliases[{index}]");
        let address = text(alias, "/ip");
        if address.parse::<std::net::IpAddr>().is_err() {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.push(FieldError::invalid(join(&path, "ip"), address, detail));
        }
        for (index, name) in items(alias, "/hostnames").iter().filter_map(Value::as_str).enumerate() {
            value_named(name, &format!("{path}.hostnames[{index}]"), names::dns_subdomain, errors);
        }
    }
}

/// The rules of a template that its controller restarts forever.
pub(in super::super) struct TemplateRules {
    /// The kind, as its complaints name it.
    pub(in super::super) owner: &'static str,
    pub(in super::super) restart_policies: &'static [&'static str],
    /// Jobs may end by themselves, so only they may have a deadline.
    pub(in super::super) deadline: bool,
}

/// Checks `/spec/template` of a controller, and that `selector` selects what it makes.
pub(in super::super) fn template(
    owner: &Value,
    selector: Option<&Value>,
    rules: &TemplateRules,
    errors: &mut Errors,
) {
    let Some(template) = owner.pointer("/spec/template") else {
        return errors.push(FieldError::required("spec.template", ""));
    };
    let labels = template.pointer("/metadata/labels");
    if let Some(selector) = selector
        && !selector::is_empty(Some(selector))
        && !selector::selects(selector, labels)
    {
        errors.push(unselected(owner));
    }
    template_metadata(template, errors);
    let path = "spec.template.spec";
    spec(template.get("spec").unwrap_or(&Value::Null), path, errors);
    one_of(
        template.get("spec").unwrap_or(&Value::Null),
        path,
        "restartPolicy",
        rules.restart_policies,
        errors,
    );
    if !rules.deadline && template.pointer("/spec/activeDeadlineSeconds").is_some() {
        let detail = format!("activeDeadlineSeconds in {} is not Supported", rules.owner);
        errors.push(FieldError::forbidden(join(path, "activeDeadlineSeconds"), detail));
    }
}

fn template_metadata(template: &Value, errors: &mut Errors) {
    lifecycle::labels(template, "/metadata/labels", "spec.template.labels", errors);
    for (key, _) in entries(template, "/metadata/annotations") {
        value_named(&key.to_lowercase(), "spec.template.annotations", names::qualified, errors);
    }
}

/// The complaint about a controller that would not find its own pods.
pub(in super::super) fn unselected(owner: &Value) -> FieldError {
    let labels = owner.pointer("/spec/template/metadata/labels").cloned().unwrap_or(Value::Null);
    let detail = "`selector` does not match template `labels`";
    FieldError::invalid("spec.template.metadata.labels", labels, detail)
}

/// A pod template object that stands alone.
pub(in super::super) fn lone_template(template: &Value, path: &str, errors: &mut Errors) {
    spec(template.get("spec").unwrap_or(&Value::Null), &join(path, "spec"), errors);
}

/// Names of objects in the same namespace that a pod refers to.
pub(super) fn references(place: &Value, checks: &[Check], path: &str, errors: &mut Errors) {
    let mut found = Vec::new();
    check::run(place, checks, &mut found);
    for mut error in found {
        error.field = join(path, &error.field);
        errors.push(error);
    }
}

/// `Required value` at `path.field` unless it is set.
pub(super) fn must_have(place: &Value, path: &str, field: &str, errors: &mut Errors) {
    required(place, path, field, errors);
}
