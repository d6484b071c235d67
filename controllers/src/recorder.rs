//! The recorder: notes to users as core/v1 events, repeats counted.
//!
//! In: notes, never waited for; above the bound they are dropped, since nothing depends on them. Out: a new event, or a higher
//! `count` of the same one (same object, reason and message). Source: client-go record, without its spam filter.

use std::collections::HashMap;

use balsa_proto::client::{Client, ObjectRef, Patch};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::action::{KindRef, Note, Severity};
use crate::limits::{NOTES_QUEUED, NOTES_REMEMBERED};
use crate::object::api_time;
use crate::remote::resource_type;

/// Hands notes to the recorder's task.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::Sender<(&'static str, Note)>,
    component: &'static str,
}

impl Recorder {
    /// Starts the task; `component` is the source of the events.
    pub fn start(client: Client, component: &'static str, shutdown: CancellationToken) -> Self {
        let (notes, inbox) = mpsc::channel(NOTES_QUEUED);
        tokio::spawn(Scribe { client, known: HashMap::new() }.run(inbox, shutdown));
        Self { notes, component }
    }

    /// The same task, with events of another source.
    pub fn of(&self, component: &'static str) -> Self {
        Self { component, ..self.clone() }
    }

    pub fn record(&self, note: Note) {
        if self.notes.try_send((self.component, note)).is_err() {
            debug!("an event was dropped: the recorder is behind");
        }
    }
}

struct Scribe {
    client: Client,
    known: HashMap<Identity, Known>,
}

/// What makes two notes the same.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    component: &'static str,
    kind: String,
    uid: String,
    severity: Severity,
    reason: String,
    message: String,
}

struct Known {
    namespace: String,
    name: String,
    count: i32,
}

impl Scribe {
    async fn run(mut self, mut inbox: mpsc::Receiver<(&'static str, Note)>, shutdown: CancellationToken) {
        loop {
            let note = tokio::select! {
                note = inbox.recv() => note,
                () = shutdown.cancelled() => return,
            };
            let Some((component, note)) = note else { return };
            if let Err(error) = self.write(component, note).await {
                debug!(%error, "an event was not written");
            }
        }
    }

    async fn write(&mut self, component: &'static str, note: Note) -> Result<(), balsa_proto::client::Error> {
        let identity = identity_of(component, &note);
        if let Some(known) = self.known.get_mut(&identity) {
            known.count += 1;
            match count_up(&self.client, known).await {
                // The event expired: tell it anew.
                Err(error) if error.is_not_found() => {}
                result => return result,
            }
        }
        let event = self.client.create(&event(&note, component, Timestamp::now())).await?;
        if self.known.len() >= NOTES_REMEMBERED {
            self.known.clear();
        }
        let namespace = event.metadata.namespace.unwrap_or_default();
        let name = event.metadata.name.unwrap_or_default();
        self.known.insert(identity, Known { namespace, name, count: 1 });
        Ok(())
    }
}

async fn count_up(client: &Client, known: &Known) -> Result<(), balsa_proto::client::Error> {
    let patch = json!({ "count": known.count, "lastTimestamp": api_time(Timestamp::now()) });
    let ty = resource_type(&KindRef {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Event".to_owned(),
        plural: "events".to_owned(),
        namespaced: true,
    });
    let event = ObjectRef::new(&known.namespace, &known.name);
    client.patch_untyped(&ty, &event, &Patch::Merge(patch)).await.map(|_| ())
}

fn identity_of(component: &'static str, note: &Note) -> Identity {
    Identity {
        component,
        kind: note.regarding.kind.clone().unwrap_or_default(),
        uid: note.regarding.uid.clone().unwrap_or_default(),
        severity: note.severity,
        reason: note.reason.clone(),
        message: note.message.clone(),
    }
}

/// The event of a note. Cluster-scoped objects are told about in `default`; names are `<object>.<nanoseconds in hex>`.
pub fn event(note: &Note, component: &str, now: Timestamp) -> Event {
    let ObjectReference { namespace, name, .. } = &note.regarding;
    let namespace = namespace.clone().filter(|namespace| !namespace.is_empty());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", name.as_deref().unwrap_or_default(), now.as_nanosecond())),
            namespace: Some(namespace.unwrap_or_else(|| "default".to_owned())),
            ..ObjectMeta::default()
        },
        involved_object: note.regarding.clone(),
        type_: Some(note.severity.as_str().to_owned()),
        reason: Some(note.reason.clone()),
        message: Some(note.message.clone()),
        count: Some(1),
        first_timestamp: Some(api_time(now)),
        last_timestamp: Some(api_time(now)),
        source: Some(EventSource { component: Some(component.to_owned()), host: None }),
        reporting_component: Some(component.to_owned()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}
