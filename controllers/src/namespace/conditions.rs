//! The conditions by which a terminating namespace tells what holds it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};

use crate::object::api_time;
use crate::world::NamespaceContent;

/// The status after a count, if it differs.
pub fn status(namespace: &Namespace, content: &NamespaceContent, now: Timestamp) -> Option<NamespaceStatus> {
    let before = namespace.status.clone().unwrap_or_default();
    let mut after = before.clone();
    for (type_, finding) in findings(content) {
        put(&mut after, type_, finding, now);
    }
    (after != before).then_some(after)
}

/// A status of True says that there is a problem.
struct Finding {
    problem: bool,
    reason: &'static str,
    message: String,
}

fn findings(content: &NamespaceContent) -> [(&'static str, Finding); 5] {
    [
        ("NamespaceDeletionDiscoveryFailure", discovery(content)),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            fine("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        ("NamespaceDeletionContentFailure", deletion(content)),
        ("NamespaceContentRemaining", remaining(content)),
        ("NamespaceFinalizersRemaining", finalizers(content)),
    ]
}

fn fine(reason: &'static str, message: &str) -> Finding {
    Finding { problem: false, reason, message: message.to_owned() }
}

fn discovery(content: &NamespaceContent) -> Finding {
    match &content.discovery_failure {
        None => fine("ResourcesDiscovered", "All resources successfully discovered"),
        Some(error) => {
            let message = format!("Discovery failed for some groups, 1 failing: {error}");
            Finding { problem: true, reason: "DiscoveryFailed", message }
        }
    }
}

fn deletion(content: &NamespaceContent) -> Finding {
    if content.delete_failures.is_empty() {
        return fine("ContentDeleted", "All content successfully deleted, may be waiting on finalization");
    }
    let count = content.delete_failures.len();
    let message = format!(
        "Failed to delete all resource types, {count} remaining: {}",
        content.delete_failures.join(", ")
    );
    Finding { problem: true, reason: "ContentDeletionFailed", message }
}

fn remaining(content: &NamespaceContent) -> Finding {
    if content.remaining.is_empty() {
        return fine("ContentRemoved", "All content successfully removed");
    }
    let message = format!("Some resources are remaining: {}", counted(&content.remaining, "has"));
    Finding { problem: true, reason: "SomeResourcesRemain", message }
}

fn finalizers(content: &NamespaceContent) -> Finding {
    if content.finalizers.is_empty() {
        return fine("ContentHasNoFinalizers", "All content-preserving finalizers finished");
    }
    let message = format!(
        "Some content in the namespace has finalizers remaining: {}",
        counted(&content.finalizers, "in")
    );
    Finding { problem: true, reason: "SomeFinalizersRemain", message }
}

fn counted(counts: &BTreeMap<String, usize>, word: &str) -> String {
    let parts: Vec<_> =
        counts.iter().map(|(name, count)| format!("{name} {word} {count} resource instances")).collect();
    parts.join(", ")
}

fn put(status: &mut NamespaceStatus, type_: &str, finding: Finding, now: Timestamp) {
    let value = if finding.problem { "True" } else { "False" };
    let conditions = status.conditions.get_or_insert_default();
    let current = conditions.iter_mut().find(|condition| condition.type_ == type_);
    let same = |condition: &NamespaceCondition| {
        condition.status == value && condition.message.as_deref() == Some(finding.message.as_str())
    };
    if current.as_ref().is_some_and(|condition| same(condition)) {
        return;
    }
    let since = current.as_ref().filter(|condition| condition.status == value);
    let condition = NamespaceCondition {
        type_: type_.to_owned(),
        status: value.to_owned(),
        reason: Some(finding.reason.to_owned()),
        last_transition_time: since
            .and_then(|condition| condition.last_transition_time.clone())
            .or_else(|| Some(api_time(now))),
        message: Some(finding.message),
    };
    match current {
        Some(current) => *current = condition,
        None => conditions.push(condition),
    }
}
