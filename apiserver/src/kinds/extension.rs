//! Extensions of the API: definitions of custom resources, and API services.
//!
//! Both are stored and validated. This server answers for neither custom resources nor other servers yet, and their
//! status says so: a definition is not Established, and an API service behind a Service is not Available. The
//! entries of the groups served here (`Local`) are.
//! Source: k8s.io/apiextensions-apiserver and k8s.io/kube-aggregator, `validation` (texts).

use serde_json::{Value, json};

use super::check::{self, Check, Errors, required};
use super::default_rules::{Constant::Number, Rule, fill};
use super::walk::{child, flag, int, items, join, set, set_absent, text};
use super::{Hooks, names};
use crate::error::FieldError;

pub(super) const DEFINITION: Hooks = Hooks {
    default: default_definition,
    prepare_create: |definition| set_definition_status(definition),
    prepare_update: |new, _| set_definition_status(new),
    validate: validate_definition,
    ..Hooks::NONE
};
pub(super) const API_SERVICE: Hooks = Hooks {
    default: |service| fill(service, &[Rule("spec.service", "port", Number(443))]),
    prepare_create: |service| set_service_status(service),
    prepare_update: |new, _| set_service_status(new),
    validate: validate_service,
    name: names::path_segment,
    ..Hooks::NONE
};

/// Why nothing can be asked of a custom resource.
const NOT_SERVED: (&str, &str) =
    ("NotServed", "this server stores and validates definitions, but does not serve custom resources yet");
const NOT_AGGREGATED: (&str, &str) =
    ("NotAggregated", "this server does not forward requests to other API servers yet");
const LOCAL: (&str, &str) = ("Local", "Local APIServices are always available");

const APPROVAL: &str = "api-approved.kubernetes.io";

fn default_definition(definition: &mut Value) {
    let kind = text(definition, "/spec/names/kind").to_owned();
    if let Some(spec) = definition.get_mut("spec").filter(|spec| spec.is_object()) {
        set_absent(spec, "conversion", json!({"strategy": "None"}));
        if !kind.is_empty() {
            let names = child(spec, "names");
            set_absent(names, "singular", kind.to_lowercase());
            set_absent(names, "listKind", format!("{kind}List"));
        }
    }
    fill(definition, &[Rule("spec.conversion.webhook.clientConfig.service", "port", Number(443))]);
}

/// Versions that were ever stored stay on the list: objects may still be in their form.
fn set_definition_status(definition: &mut Value) {
    let mut stored: Vec<String> = items(definition, "/status/storedVersions")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    for version in items(definition, "/spec/versions").iter().filter(|version| flag(version, "/storage")) {
        let name = text(version, "/name").to_owned();
        if !stored.contains(&name) {
            stored.push(name);
        }
    }
    let conditions = with_condition(definition, "Established", false, NOT_SERVED);
    let status = child(definition, "status");
    set_absent(status, "acceptedNames", json!({"kind": "", "plural": ""}));
    set(status, "storedVersions", stored);
    set(status, "conditions", conditions);
}

fn set_service_status(service: &mut Value) {
    let is_local = service.pointer("/spec/service").is_none_or(Value::is_null);
    let why = if is_local { LOCAL } else { NOT_AGGREGATED };
    let conditions = with_condition(service, "Available", is_local, why);
    set(child(service, "status"), "conditions", conditions);
}

/// The object's conditions with this one as it is now. What is true from the start dates from the creation.
fn with_condition(object: &Value, kind: &str, holds: bool, (reason, message): (&str, &str)) -> Vec<Value> {
    let mut conditions = items(object, "/status/conditions").to_vec();
    let status = if holds { "True" } else { "False" };
    let is_there = |c: &Value| text(c, "/type") == kind && text(c, "/status") == status;
    if conditions.iter().any(is_there) {
        return conditions;
    }
    let is_first = !conditions.iter().any(|condition| text(condition, "/type") == kind);
    conditions.retain(|condition| text(condition, "/type") != kind);
    let mut condition = json!({"type": kind, "status": status, "reason": reason, "message": message});
    if is_first && let Some(created) = object.pointer("/metadata/creationTimestamp") {
        set(&mut condition, "lastTransitionTime", created.clone());
    }
    conditions.push(condition);
    conditions
}

fn validate_definition(definition: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = &definition["spec"];
    let (group, plural) = (text(spec, "/group"), text(spec, "/names/plural"));
    let name = text(definition, "/metadata/name");
    if name != format!("{plural}.{group}") {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", name, detail));
    }
    check_group(definition, group, &mut errors);
    if required(spec, "spec", "scope", &mut errors) {
        check::one_of(spec, "spec", "scope", &["Cluster", "Namespaced"], &mut errors);
    }
    if flag(spec, "/preserveUnknownFields") {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, detail));
    }
    versions(spec, &mut errors);
    resource_names(&spec["names"], &mut errors);
    conversion(spec, &mut errors);
    errors
}

fn check_group(definition: &Value, group: &str, errors: &mut Errors) {
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
        return;
    }
    check::value_named(group, "spec.group", names::dns_subdomain, errors);
    if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        errors.push(FieldError::invalid("spec.group", group, detail));
    }
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|owner| group.strip_suffix(owner).is_some_and(|head| head.is_empty() || head.ends_with('.')));
    if protected && definition["metadata"]["annotations"].get(APPROVAL).is_none() {
        let detail = format!(
            "protected groups must have approval annotation \"{APPROVAL}\", see https://github.com/kubernetes/enhancements/pull/1111"
        );
        errors.push(FieldError::required(format!("metadata.annotations[{APPROVAL}]"), detail));
    }
}

fn versions(spec: &Value, errors: &mut Errors) {
    let list = items(spec, "/versions");
    for (index, version) in list.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = text(version, "/name");
        check::value_named(name, &join(&path, "name"), names::dns_label_1035, errors);
        if list[..index].iter().any(|earlier| text(earlier, "/name") == name) {
            let detail = "must contain unique version names";
            errors.push(FieldError::invalid("spec.versions", Value::from(list.to_vec()), detail));
        }
        let schema = join(&path, "schema.openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            None | Some(Value::Null) => errors.push(FieldError::required(schema, "schemas are required")),
            Some(root) => match text(root, "/type") {
                "" => {
                    errors.push(FieldError::required(join(&schema, "type"), "must not be empty at the root"))
                }
                "object" => {}
                other => {
                    let detail = "must be object at the root";
                    errors.push(FieldError::invalid(join(&schema, "type"), other, detail));
                }
            },
        }
    }
    if list.iter().filter(|version| flag(version, "/storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", Value::from(list.to_vec()), detail));
    }
}

fn resource_names(words: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.names";
    for field in ["plural", "singular"] {
        if required(words, PATH, field, errors) {
            check::named(words, PATH, field, names::dns_label_1035, errors);
        }
    }
    for field in ["kind", "listKind"] {
        if required(words, PATH, field, errors) {
            let word = text(words, &format!("/{field}"));
            let complaints = names::dns_label_1035(&word.to_lowercase());
            errors.extend(complaints.into_iter().map(|why| {
                let detail = format!("may have mixed case, but should otherwise match: {why}");
                FieldError::invalid(join(PATH, field), word, detail)
            }));
        }
    }
    if text(words, "/kind") == text(words, "/listKind") && !text(words, "/kind").is_empty() {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid("spec.names.listKind", text(words, "/listKind"), detail));
    }
    for (index, short) in items(words, "/shortNames").iter().filter_map(Value::as_str).enumerate() {
        let path = format!("spec.names.shortNames[{index}]");
        check::value_named(short, &path, names::dns_label_1035, errors);
    }
}

fn conversion(spec: &Value, errors: &mut Errors) {
    check::one_of(&spec["conversion"], "spec.conversion", "strategy", &["None", "Webhook"], errors);
    if text(spec, "/conversion/strategy") == "Webhook" {
        let path = "spec.conversion";
        if required(&spec["conversion"], path, "webhook", errors) {
            let webhook = &spec["conversion"]["webhook"];
            required(webhook, "spec.conversion.webhook", "conversionReviewVersions", errors);
        }
    } else if spec.pointer("/conversion/webhook").is_some_and(Value::is_object) {
        let detail = "should not be set when strategy is not set to Webhook";
        errors.push(FieldError::forbidden("spec.conversion.webhook", detail));
    }
}

fn validate_service(service: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = &service["spec"];
    let (group, version) = (text(spec, "/group"), text(spec, "/version"));
    let name = text(service, "/metadata/name");
    if name != format!("{version}.{group}") {
        let detail = "must be `spec.version+\".\"+spec.group`";
        errors.push(FieldError::invalid("metadata.name", name, detail));
    }
    if group.is_empty() && version != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        errors.push(FieldError::required("spec.group", detail));
    }
    check::value_named(
        group,
        "spec.group",
        |group| match group {
            "" => Vec::new(),
            group => names::dns_subdomain(group),
        },
        &mut errors,
    );
    check::run(service, &[Check::Named("spec", "version", names::dns_label_1035)], &mut errors);
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let priority = int(spec, &format!("/{field}")).unwrap_or(0);
        if !(1..=most).contains(&priority) {
            let detail = format!("must be positive and less than {most}");
            errors.push(FieldError::invalid(join("spec", field), priority, detail));
        }
    }
    backend(spec, &mut errors);
    errors
}

fn backend(spec: &Value, errors: &mut Errors) {
    let bundle = text(spec, "/caBundle");
    let insecure = flag(spec, "/insecureSkipTLSVerify");
    let Some(service) = spec.get("service").filter(|service| service.is_object()) else {
        if !bundle.is_empty() {
            let shown = format!("{} bytes", bundle.len());
            let detail = "local APIServices may not have a caBundle";
            errors.push(FieldError::invalid("spec.caBundle", shown, detail));
        }
        if insecure {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, detail));
        }
        return;
    };
    for field in ["namespace", "name"] {
        required(service, "spec.service", field, errors);
    }
    check::port(service, "spec.service", "port", errors);
    if insecure && !bundle.is_empty() {
        let detail = "may not be true if caBundle is present";
        errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, detail));
    }
}
