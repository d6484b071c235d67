//! Plans one terminating namespace.

use std::time::Duration;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};

use super::conditions;
use crate::action::{Action, LookUp};
use crate::object::{is_deleting, name_of, time_until, uid_of};
use crate::world::World;

/// The finalizer in `spec` that this controller stands for.
const FINALIZER: &str = "kubernetes";
/// Shortest pause between two counts, or a namespace of many objects would be listed once for each that goes.
const PAUSE: Duration = Duration::from_millis(200);
/// Counts again without any sign, for kinds that no watch shows.
const WITHOUT_A_SIGN: Duration = Duration::from_secs(5);

pub fn plan(world: &World, key: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let Some(namespace) = world.namespaces.find(key) else { return Vec::new() };
    if !is_deleting(&namespace.metadata) || !is_held(&namespace) {
        return Vec::new();
    }
    if phase(&namespace) != Some("Terminating") {
        return vec![Action::update_status(terminating(&namespace))];
    }
    let (name, uid) = (name_of(&namespace.metadata).to_owned(), uid_of(&namespace.metadata).to_owned());
    let look_up = Action::LookUp(LookUp::EmptyNamespace { name, uid: uid.clone() });
    let Some(content) = world.findings.namespace(&uid) else { return vec![look_up] };
    if content.is_empty() {
        return vec![Action::Finalize { namespace: Box::new(without_finalizer(&namespace)) }];
    }
    let mut actions = Vec::new();
    if let Some(status) = conditions::status(&namespace, &content, now) {
        actions.push(Action::update_status(Namespace { status: Some(status), ..(*namespace).clone() }));
    }
    let went_since = world.findings.namespace_sign(&uid).is_some_and(|sign| sign >= content.at);
    let wait = if went_since { PAUSE } else { WITHOUT_A_SIGN };
    let count_at = content.at.saturating_add(wait).unwrap_or(now);
    match time_until(count_at, now) {
        Some(after) => actions.push(Action::LookAgain { after }),
        None => actions.push(look_up),
    }
    actions
}

fn is_held(namespace: &Namespace) -> bool {
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
    finalizers.into_iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

fn phase(namespace: &Namespace) -> Option<&str> {
    namespace.status.as_ref()?.phase.as_deref()
}

fn terminating(namespace: &Namespace) -> Namespace {
    let status = namespace.status.clone().unwrap_or_default();
    let status = NamespaceStatus { phase: Some("Terminating".to_owned()), ..status };
    Namespace { status: Some(status), ..namespace.clone() }
}

fn without_finalizer(namespace: &Namespace) -> Namespace {
    let mut namespace = namespace.clone();
    if let Some(finalizers) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
    namespace
}
