//! Certificate signing requests: what was asked for never changes; approvers write the verdict, signers the rest.
//!
//! `/approval` is the only way to `Approved` and `Denied`; `/status` is the signer's, for the certificate and
//! `Failed`. A condition that stands is never taken back. Source: k8s.io/kubernetes `pkg/apis/certificates/validation`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::check::{self, Check, Errors};
use super::default_rules::{Constant::Texts, Rule, fill};
use super::fields::mirror;
use super::walk::{child, each_mut, int, items, keep, set, set_absent, text};
use super::{Hooks, Part};
use crate::error::FieldError;
use crate::pipeline::meta::format_time;

/// Conditions that approvers write.
const VERDICTS: &[&str] = &["Approved", "Denied"];
/// Conditions that can only be true, and never go away.
const LASTING: &[&str] = &["Approved", "Denied", "Failed"];
const SHORTEST_SECONDS: i64 = 600;

pub(super) const HOOKS: Hooks = Hooks {
    default: |request| {
        fill(request, &[Rule("spec", "usages", Texts(&["key encipherment", "digital signature"]))]);
    },
    prepare_update: |new, old| keep(new, old, "spec"),
    validate,
    validate_status: |new, old| {
        let mut errors = conditions(new, old);
        errors.extend(verdicts_through_status(new, old));
        errors
    },
    fields: |request| vec![mirror(request, "spec.signerName", "/spec/signerName")],
    ..Hooks::NONE
};

pub(super) const APPROVAL: Part = Part { prepare: prepare_approval, validate: conditions };

fn validate(request: &Value) -> Errors {
    let mut errors = Vec::new();
    check::run(request, &[Check::Required("spec", "request")], &mut errors);
    let signer = text(request, "/spec/signerName");
    if signer.is_empty() {
        errors.push(FieldError::required("spec.signerName", ""));
    } else if !is_signer_name(signer) {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid("spec.signerName", signer, detail));
    }
    if let Some(seconds) = int(request, "/spec/expirationSeconds")
        && seconds < SHORTEST_SECONDS
    {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid("spec.expirationSeconds", seconds, detail));
    }
    errors
}

fn is_signer_name(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, path)| {
        domain.contains('.') && !path.is_empty() && super::names::dns_subdomain(domain).is_empty()
    })
}

/// The old object with the new conditions; times that the approver left out are `now`.
fn prepare_approval(new: &mut Value, old: &Value, now: Timestamp) {
    let mut status = old.get("status").cloned().unwrap_or_else(|| json!({}));
    keep(&mut status, new.get("status").unwrap_or(&Value::Null), "conditions");
    keep(new, old, "spec");
    set(new, "status", status);
    let before = items(old, "/status/conditions");
    each_mut(child(new, "status"), "conditions[]", &mut |condition| {
        let same_type = before.iter().find(|known| text(known, "/type") == text(condition, "/type"));
        let same = same_type.filter(|known| text(known, "/status") == text(condition, "/status"));
        let since = same.and_then(|known| known.get("lastTransitionTime")).cloned();
        set_absent(condition, "lastUpdateTime", format_time(now));
        set_absent(condition, "lastTransitionTime", since.unwrap_or_else(|| format_time(now).into()));
    });
}

fn conditions(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let list = items(new, "/status/conditions");
    for (index, condition) in list.iter().enumerate() {
        let path = format!("status.conditions[{index}]");
        let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
        if kind.is_empty() {
            errors.push(FieldError::required(format!("{path}.type"), ""));
        } else if list[..index].iter().any(|earlier| text(earlier, "/type") == kind) {
            errors.push(FieldError::duplicate(format!("{path}.type"), kind));
        }
        match status {
            "" => errors.push(FieldError::required(format!("{path}.status"), "")),
            "True" => {}
            other if LASTING.contains(&kind) => {
                errors.push(FieldError::not_supported(format!("{path}.status"), other, &["True"]));
            }
            _ => {}
        }
        let excludes = VERDICTS.contains(&kind)
            && list[..index].iter().any(|c| VERDICTS.contains(&text(c, "/type")) && text(c, "/type") != kind);
        if excludes {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(format!("{path}.type"), kind, detail));
        }
    }
    errors.extend(taken_back(new, old));
    errors
}

fn taken_back(new: &Value, old: &Value) -> Errors {
    let list = items(new, "/status/conditions");
    let before = items(old, "/status/conditions").iter();
    let lasting = before.map(|condition| text(condition, "/type")).filter(|kind| LASTING.contains(kind));
    let gone = lasting.filter(|kind| !list.iter().any(|condition| text(condition, "/type") == *kind));
    gone.map(|kind| {
        let detail = format!("updates may not remove a condition of type \"{kind}\"");
        FieldError::forbidden("status.conditions", detail)
    })
    .collect()
}

fn verdicts_through_status(new: &Value, old: &Value) -> Errors {
    let has = |object: &Value, kind: &str| {
        items(object, "/status/conditions").iter().any(|condition| text(condition, "/type") == kind)
    };
    let added = VERDICTS.iter().filter(|kind| has(new, kind) && !has(old, kind));
    added
        .map(|kind| {
            let detail = format!("updates may not add a condition of type \"{kind}\"");
            FieldError::forbidden("status.conditions", detail)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(conditions: Value) -> Value {
        json!({"spec": {"signerName": "example.com/a"}, "status": {"certificate": "abc", "conditions": conditions}})
    }

    fn texts(errors: Errors) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_approval_changes_conditions_alone() {
        let old = request(json!([]));
        let mut new = json!({
            "spec": {"signerName": "example.com/b"},
            "status": {"certificate": "forged", "conditions": [{"type": "Approved", "status": "True"}]},
        });
        prepare_approval(&mut new, &old, Timestamp::UNIX_EPOCH);
        assert_eq!(new["spec"], old["spec"]);
        assert_eq!(new["status"]["certificate"], "abc");
        assert_eq!(new["status"]["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:00Z");
        assert_eq!(texts(conditions(&new, &old)), Vec::<String>::new());
    }

    #[test]
    fn verdicts_stand_exclude_each_other_and_are_the_approvers() {
        let approved = request(json!([{"type": "Approved", "status": "True"}]));
        let none = request(json!([]));
        let both =
            request(json!([{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "False"}]));
        assert_eq!(
            texts(conditions(&both, &approved)),
            [
                "status.conditions[1].status: Unsupported value: \"False\": supported values: \"True\"",
                "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"
            ]
        );
        assert_eq!(
            texts(conditions(&none, &approved)),
            ["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""]
        );
        assert_eq!(
            texts(verdicts_through_status(&approved, &none)),
            ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]
        );
    }
}
