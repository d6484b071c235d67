//! The review kinds of authorization.k8s.io: a question in `spec`, the answer in `status`.
//!
//! In: the decoded object as the client posted it. Out: the same object with `status`, or the stock 400/422.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::attributes::{of_path, of_resource, text};
use super::{Authorizer, Rule, node};
use crate::error::{ApiError, FieldError, GroupKind};
use crate::request::{GROUP_MASTERS, RequestInfo, User};

const GROUP: &str = "authorization.k8s.io";

impl Authorizer {
    /// `SubjectAccessReview`: may the user in `spec` …?
    pub fn subject_access_review(&self, mut review: Value) -> Result<Value, ApiError> {
        let spec = &review["spec"];
        let mut errors = attribute_errors(spec);
        errors.extend(subject_errors(spec));
        invalid_unless_empty("SubjectAccessReview", errors)?;
        let decision = self.authorize(&user_of(spec), &question(spec));
        review["status"] = status_of(decision);
        Ok(review)
    }

    /// `LocalSubjectAccessReview`, posted to `namespace`.
    pub fn local_subject_access_review(&self, namespace: &str, mut review: Value) -> Result<Value, ApiError> {
        let spec = &review["spec"];
        let mut errors = attribute_errors(spec);
        errors.extend(subject_errors(spec));
        if spec.get("nonResourceAttributes").is_some_and(|value| !value.is_null()) {
            errors.push(FieldError::invalid(
                "spec.nonResourceAttributes",
                spec["nonResourceAttributes"].clone(),
                "disallowed on this kind of request",
            ));
        }
        let asked = &spec["resourceAttributes"]["namespace"];
        if asked.as_str().unwrap_or_default() != namespace {
            errors.push(FieldError::invalid(
                "spec.resourceAttributes.namespace",
                asked.clone(),
                "must match metadata.namespace",
            ));
        }
        invalid_unless_empty("LocalSubjectAccessReview", errors)?;
        let decision = self.authorize(&user_of(spec), &question(spec));
        review["status"] = status_of(decision);
        Ok(review)
    }

    /// `SelfSubjectAccessReview`: may I …? (`kubectl auth can-i`)
    pub fn self_subject_access_review(&self, user: &User, mut review: Value) -> Result<Value, ApiError> {
        let spec = &review["spec"];
        invalid_unless_empty("SelfSubjectAccessReview", attribute_errors(spec))?;
        let decision = self.authorize(user, &question(spec));
        review["status"] = status_of(decision);
        Ok(review)
    }

    /// `SelfSubjectRulesReview`: what may I do in a namespace? (`kubectl auth can-i --list`)
    pub fn self_subject_rules_review(&self, user: &User, mut review: Value) -> Result<Value, ApiError> {
        let namespace = text(&review["spec"], "namespace");
        if namespace.is_empty() {
            return Err(ApiError::bad_request("no namespace on request"));
        }
        let (rules, mut errors) = self.held_rules(user, &namespace);
        if node::name_of(user).is_some() {
            errors.insert(0, "node authorizer does not support user rule resolution".to_owned());
        }
        let (paths, resources): (Vec<&Rule>, Vec<&Rule>) =
            rules.iter().partition(|rule| !rule.non_resource_urls.is_empty());
        let mut status = json!({
            "incomplete": !errors.is_empty(),
            "nonResourceRules": paths.into_iter().map(Rule::to_value).collect::<Vec<_>>(),
            "resourceRules": resources.into_iter().map(Rule::to_value).collect::<Vec<_>>(),
        });
        if !errors.is_empty() {
            status["evaluationError"] = errors.join(", ").into();
        }
        review["status"] = status;
        Ok(review)
    }

    /// Every rule that the user holds in `namespace` (empty: cluster-wide), and what could not be resolved.
    pub fn held_rules(&self, user: &User, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        if user.in_group(GROUP_MASTERS) {
            return (super::bootstrap::rules_of_cluster_role("cluster-admin"), Vec::new());
        }
        let held = self.index.rbac(self.reader.as_ref(), |rbac| rbac.rules_of(user, namespace));
        (held.rules, held.errors)
    }
}

fn question(spec: &Value) -> RequestInfo {
    match spec.get("resourceAttributes") {
        Some(attributes) if attributes.is_object() => of_resource(attributes),
        _ => of_path(&spec["nonResourceAttributes"]),
    }
}

fn user_of(spec: &Value) -> User {
    User {
        name: text(spec, "user"),
        uid: text(spec, "uid"),
        groups: strings(&spec["groups"]),
        extra: extra_of(spec),
    }
}

fn extra_of(spec: &Value) -> BTreeMap<String, Vec<String>> {
    let pairs = spec["extra"].as_object().into_iter().flatten();
    pairs.map(|(key, values)| (key.to_lowercase(), strings(values))).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn status_of(decision: super::Decision) -> Value {
    let mut status = Map::new();
    status.insert("allowed".into(), decision.allowed.into());
    if !decision.reason.is_empty() {
        status.insert("reason".into(), decision.reason.into());
    }
    Value::Object(status)
}

fn attribute_errors(spec: &Value) -> Vec<FieldError> {
    let given = |field: &str| spec.get(field).is_some_and(Value::is_object);
    match (given("resourceAttributes"), given("nonResourceAttributes")) {
        (true, true) => vec![FieldError::invalid(
            "spec.nonResourceAttributes",
            spec["nonResourceAttributes"].clone(),
            "cannot be specified in combination with resourceAttributes",
        )],
        (false, false) => vec![FieldError::invalid(
            "spec.resourceAttributes",
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )],
        _ => Vec::new(),
    }
}

fn subject_errors(spec: &Value) -> Vec<FieldError> {
    if text(spec, "user").is_empty() && strings(&spec["groups"]).is_empty() {
        return vec![FieldError::invalid("spec.user", "", "at least one of user or group must be specified")];
    }
    Vec::new()
}

fn invalid_unless_empty(kind: &str, errors: Vec<FieldError>) -> Result<(), ApiError> {
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(&GroupKind::new(GROUP, kind), "", errors)) }
}
