//! The actor: the only writer.
//!
//! Runs the actions of one plan in order: consecutive creates as a slow start (1, 2, 4, … at once, stop at the first
//! failure, so that a used-up quota costs one request and not five hundred), consecutive deletes side by side, all else one
//! by one. Then waits until the World shows what was written. Idempotent: what is already so (a delete of what is
//! gone, a create of a named object that exists) is not an error.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use balsa_proto::client::{Client, ObjectKey, ObjectRef, Patch, SubresourceRef};
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use serde_json::Value;
use tracing::warn;

use crate::action::{Action, Announce, Deletion, KindRef, LookUp, Note, Severity, Target, guarded};
use crate::limits::{OWN_WRITE_WAIT, REQUESTS_IN_FLIGHT, SLOW_START_FIRST};
use crate::look_up;
use crate::object::name_of;
use crate::recorder::Recorder;
use crate::remote::{delete_options, resource_type};
use crate::world::World;
use crate::writable::{Writable, Written};

#[derive(Clone)]
pub struct Actor {
    client: Client,
    world: Arc<World>,
    recorder: Recorder,
}

/// What events name as their source: in stock that is not always the controller's name.
fn event_source(controller: &'static str) -> &'static str {
    match controller {
        "node-lifecycle-controller" => "node-controller",
        "node-ipam-controller" => "cidrAllocator",
        name => name,
    }
}

#[derive(Debug, Default)]
pub struct Outcome {
    pub look_again: Option<Duration>,
    /// A look-up has an answer that only a new plan can use.
    pub planned_anew: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct ActError {
    action: String,
    #[source]
    source: balsa_proto::client::Error,
}

impl ActError {
    pub(crate) fn new(action: impl Into<String>, source: balsa_proto::client::Error) -> Self {
        Self { action: action.into(), source }
    }

    /// Whether the plan was only made on an older state.
    pub fn is_expected(&self) -> bool {
        self.source.is_conflict() || self.source.is_not_found() || self.source.is_already_exists()
    }

    /// The error with its causes, on one line.
    pub fn chain(&self) -> String {
        let mut text = self.action.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// What the World must show before the key may be planned again.
#[derive(Clone, Debug)]
enum Awaited {
    Revision { group: String, kind: String, revision: u64 },
    Leaving { group: String, kind: String, key: ObjectKey, uid: String },
}

impl Actor {
    pub fn new(client: Client, world: Arc<World>, recorder: Recorder) -> Self {
        Self { client, world, recorder }
    }

    /// The same, with events in the name of a controller.
    pub fn of(&self, controller: &'static str) -> Self {
        Self { recorder: self.recorder.of(event_source(controller)), ..self.clone() }
    }

    /// Runs the actions. After an error the rest is not run, but what was written is still waited for.
    pub async fn act(&self, actions: Vec<Action>) -> Result<Outcome, ActError> {
        let mut awaited = Vec::new();
        let mut outcome = Outcome::default();
        let result = self.run(actions, &mut awaited, &mut outcome).await;
        for write in awaited {
            self.wait_for(write).await;
        }
        result.map(|()| outcome)
    }

    async fn run(
        &self,
        actions: Vec<Action>,
        awaited: &mut Vec<Awaited>,
        outcome: &mut Outcome,
    ) -> Result<(), ActError> {
        let mut actions = actions.into_iter().peekable();
        while let Some(action) = actions.next() {
            match action {
                Action::Create { object, announce } => {
                    let mut creates = vec![(object, announce)];
                    while let Some(Action::Create { object, announce }) = actions.next_if(is_create) {
                        creates.push((object, announce));
                    }
                    self.create_slowly(creates, awaited).await?;
                }
                Action::Delete { target, options, announce } => {
                    let mut deletes = vec![(target, options, announce)];
                    while let Some(Action::Delete { target, options, announce }) = actions.next_if(is_delete)
                    {
                        deletes.push((target, options, announce));
                    }
                    self.delete_all(deletes, awaited).await?;
                }
                other => self.run_one(other, awaited, outcome).await?,
            }
        }
        Ok(())
    }

    async fn run_one(
        &self,
        action: Action,
        awaited: &mut Vec<Awaited>,
        outcome: &mut Outcome,
    ) -> Result<(), ActError> {
        match action {
            Action::Update { object, announce } => {
                let result = object.update(&self.client).await;
                self.announce(announce.as_ref(), result.as_ref().map(|written| &written.key));
                awaited.push(written(&*object, result)?);
            }
            Action::UpdateStatus { object } => {
                awaited.push(written(&*object, object.update_status(&self.client).await)?);
            }
            Action::Finalize { namespace } => awaited.extend(self.finalize(&namespace).await?),
            Action::Patch { target, subresource, patch } => {
                awaited.extend(self.patch(&target, subresource, patch).await?);
            }
            Action::Note(note) => self.recorder.record(note),
            Action::LookUp(look_up) => {
                self.look_up(look_up).await?;
                outcome.planned_anew = true;
            }
            Action::LookAgain { after } => {
                outcome.look_again = Some(outcome.look_again.map_or(after, |soonest| soonest.min(after)));
            }
            Action::Create { .. } | Action::Delete { .. } => unreachable!("handled in batches"),
        }
        Ok(())
    }

    async fn create_slowly(
        &self,
        creates: Vec<(Box<dyn Writable>, Option<Announce>)>,
        awaited: &mut Vec<Awaited>,
    ) -> Result<(), ActError> {
        let mut left = creates.as_slice();
        let mut batch_size = SLOW_START_FIRST;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(batch_size.min(left.len()));
            let requests = batch.iter().map(|(object, announce)| self.create(&**object, announce.as_ref()));
            let results = join_all(requests).await;
            let mut failed = None;
            for result in results {
                match result {
                    Ok(written) => awaited.extend(written),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            left = rest;
            batch_size = (batch_size * 2).min(REQUESTS_IN_FLIGHT);
        }
        Ok(())
    }

    async fn create(
        &self,
        object: &dyn Writable,
        announce: Option<&Announce>,
    ) -> Result<Option<Awaited>, ActError> {
        let result = object.create(&self.client).await;
        self.announce(announce, result.as_ref().map(|written| &written.key));
        if let Some(owner) = announce.and_then(|announce| announce.regarding.uid.as_deref()) {
            let failure = result.as_ref().err().map(ToString::to_string);
            self.world.findings.set_create_failure(owner, failure);
        }
        match result {
            // Nothing can be created in a namespace that is going away; the namespace controller has the word.
            Err(error) if error.is_namespace_terminating() => Ok(None),
            result => written_at(object, "create", result).map(Some),
        }
    }

    async fn delete_all(
        &self,
        deletes: Vec<(Target, Deletion, Option<Announce>)>,
        awaited: &mut Vec<Awaited>,
    ) -> Result<(), ActError> {
        let requests = deletes.iter().map(|(target, options, announce)| async move {
            let result = self.delete(target, options).await;
            self.announce(
                announce.as_ref(),
                result.as_ref().map(|()| &target.key).map_err(|error| &error.source),
            );
            result
        });
        let requests: Vec<_> = requests.collect();
        let results: Vec<_> = stream::iter(requests).buffered(REQUESTS_IN_FLIGHT).collect().await;
        for (result, (target, ..)) in results.iter().zip(&deletes) {
            if result.is_ok() {
                awaited.push(leaving(target));
            }
        }
        results.into_iter().collect()
    }

    /// Deletes an object; one that is gone or replaced already counts as deleted.
    async fn delete(&self, target: &Target, options: &Deletion) -> Result<(), ActError> {
        let ty = resource_type(&target.kind);
        let request = delete_options(target, options);
        let (namespace, name) = (&target.key.namespace, &target.key.name);
        match self.client.delete_untyped(&ty, namespace, name, &request).await {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(ActError::new(format!("delete {target}"), error)),
            Ok(()) => Ok(()),
        }
    }

    async fn patch(
        &self,
        target: &Target,
        subresource: &'static str,
        patch: Value,
    ) -> Result<Option<Awaited>, ActError> {
        let request = Patch::Merge(guarded(patch, target));
        let (ty, key) = (resource_type(&target.kind), &target.key);
        let object = ObjectRef::new(&key.namespace, &key.name).subresource(subresource);
        match self.client.patch_untyped(&ty, &object, &request).await {
            Ok(object) => Ok(Some(revision_of_kind(&target.kind, revision_in(&object)))),
            Err(error) if error.is_not_found() => Ok(Some(leaving(target))),
            Err(error) => Err(ActError::new(format!("patch {target}"), error)),
        }
    }

    async fn finalize(&self, namespace: &Namespace) -> Result<Option<Awaited>, ActError> {
        let target = SubresourceRef {
            version: "v1".to_owned(),
            resource: "namespaces".to_owned(),
            name: name_of(&namespace.metadata).to_owned(),
            subresource: "finalize".to_owned(),
            ..SubresourceRef::default()
        };
        match self.client.update_subresource::<_, Value>(&target, namespace).await {
            Ok(_) => Ok(Some(leaving(&Target::of(namespace)))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(ActError::new(format!("finalize {}", target.name), error)),
        }
    }

    async fn look_up(&self, request: LookUp) -> Result<(), ActError> {
        match request {
            LookUp::Owner { kind, key, uid } => {
                look_up::owner(&self.client, &self.world, &kind, &key, &uid).await
            }
            LookUp::Node { name } => look_up::node(&self.client, &self.world, &name).await,
            LookUp::EmptyNamespace { name, uid } => {
                look_up::empty_namespace(&self.client, &self.world, &name, &uid).await
            }
        }
    }

    fn announce(&self, announce: Option<&Announce>, result: Result<&ObjectKey, &balsa_proto::client::Error>) {
        let Some(announce) = announce else { return };
        let (severity, reason, message) = match result {
            Ok(key) => {
                let (reason, words) = &announce.success;
                (Severity::Normal, reason, format!("{words}{}", key.name))
            }
            Err(error) => {
                let (reason, words) = &announce.failure;
                (Severity::Warning, reason, format!("{words}{error}"))
            }
        };
        let regarding = announce.regarding.clone();
        self.recorder.record(Note { regarding, severity, reason: (*reason).to_owned(), message });
    }

    async fn wait_for(&self, awaited: Awaited) {
        let (group, kind) = awaited.kind();
        let Some(table) = self.world.progress(group, kind) else { return };
        let mut changes = table.changes();
        let arrived = async {
            while !awaited.is_shown_by(table) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(OWN_WRITE_WAIT, arrived).await.is_err() {
            warn!(group, kind, "the watch has not shown an own write for {OWN_WRITE_WAIT:?}; going on");
        }
    }
}

impl Awaited {
    fn kind(&self) -> (&str, &str) {
        match self {
            Awaited::Revision { group, kind, .. } | Awaited::Leaving { group, kind, .. } => (group, kind),
        }
    }

    fn is_shown_by(&self, table: &dyn crate::world::Progress) -> bool {
        match self {
            Awaited::Revision { revision, .. } => table.seen_revision() >= *revision,
            Awaited::Leaving { key, uid, .. } => table.is_leaving(key, uid),
        }
    }
}

fn revision_in(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn is_create(action: &Action) -> bool {
    matches!(action, Action::Create { .. })
}

fn is_delete(action: &Action) -> bool {
    matches!(action, Action::Delete { .. })
}

fn leaving(target: &Target) -> Awaited {
    let (group, kind) = (target.kind.group.clone(), target.kind.kind.clone());
    Awaited::Leaving { group, kind, key: target.key.clone(), uid: target.uid.clone() }
}

fn revision_of_kind(kind: &KindRef, revision: u64) -> Awaited {
    Awaited::Revision { group: kind.group.clone(), kind: kind.kind.clone(), revision }
}

fn written(
    object: &dyn Writable,
    result: Result<Written, balsa_proto::client::Error>,
) -> Result<Awaited, ActError> {
    written_at(object, "update", result)
}

fn written_at(
    object: &dyn Writable,
    verb: &str,
    result: Result<Written, balsa_proto::client::Error>,
) -> Result<Awaited, ActError> {
    let written = result.map_err(|error| ActError::new(format!("{verb} {}", object.describe()), error))?;
    let (group, kind) = (object.group().to_owned(), object.kind().to_owned());
    Ok(Awaited::Revision { group, kind, revision: written.revision })
}
