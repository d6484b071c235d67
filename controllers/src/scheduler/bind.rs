//! Carries decisions out: the binding, the condition of a pod that fits nowhere, and the notes about both.

use balsa_proto::client::{Client, Error, ObjectRef, Patch, SubresourceRef};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::snapshot::PodFacts;
use crate::action::{Action, KindRef, Note, Severity};
use crate::object::api_time;
use crate::pod::condition;
use crate::remote::resource_type;

/// Binds the pod, guarded by its uid.
pub async fn bind(client: &Client, facts: &PodFacts, node: &str) -> Result<(), Error> {
    let target = SubresourceRef {
        version: "v1".to_owned(),
        resource: "pods".to_owned(),
        namespace: facts.key.namespace.clone(),
        name: facts.key.name.clone(),
        subresource: "binding".to_owned(),
        ..SubresourceRef::default()
    };
    client.create_subresource::<_, Value>(&target, &binding(facts, node)).await.map(drop)
}

fn binding(facts: &PodFacts, node: &str) -> Binding {
    Binding {
        metadata: ObjectMeta {
            namespace: Some(facts.key.namespace.clone()),
            name: Some(facts.key.name.clone()),
            uid: Some(facts.uid.clone()),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    }
}

/// Tells in the pod's status why it waits; nothing is written when it tells already.
pub async fn tell_unschedulable(client: &Client, pod: &Pod, message: &str) -> Result<(), Error> {
    let present = condition(pod, "PodScheduled");
    if present.is_some_and(|present| present.status == "False" && present.message.as_deref() == Some(message))
    {
        return Ok(());
    }
    let since = present.filter(|present| present.status == "False");
    let since = since.and_then(|present| present.last_transition_time.clone());
    let patch = json!({
        "metadata": { "uid": pod.metadata.uid },
        "status": { "conditions": [{
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": null,
            "lastTransitionTime": since.unwrap_or_else(|| api_time(Timestamp::now())),
        }] },
    });
    let ty = resource_type(&KindRef::of::<Pod>(&pod.metadata));
    let object = ObjectRef::new(
        pod.metadata.namespace.clone().unwrap_or_default(),
        pod.metadata.name.clone().unwrap_or_default(),
    );
    let result = client.patch_untyped(&ty, &object.subresource("status"), &Patch::Strategic(patch)).await;
    result.map(drop)
}

pub fn scheduled_note(facts: &PodFacts, node: &str) -> Note {
    note(facts, Severity::Normal, "Scheduled", format!("Successfully assigned {} to {node}", facts.key))
}

pub fn failed_note(facts: &PodFacts, message: String) -> Note {
    note(facts, Severity::Warning, "FailedScheduling", message)
}

fn note(facts: &PodFacts, severity: Severity, reason: &str, message: String) -> Note {
    match Action::note(&*facts.pod, severity, reason, message) {
        Action::Note(note) => note,
        _ => unreachable!("Action::note makes a note"),
    }
}
