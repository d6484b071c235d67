//! Events: what `kubectl describe` shows of what the agent did.
//!
//! One task posts them. A repeat of the same event raises its count instead of making a new one, as client-go's
//! recorder does. A pod never waits for its events: when the queue is full they are dropped and counted.

use std::collections::HashMap;
use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::api_link::ApiLink;
use crate::limits;
use crate::pod::facts;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    Normal,
    Warning,
}

/// A cheap handle.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Fact>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Fact {
    about: About,
    level: Level,
    reason: &'static str,
    message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct About {
    kind: &'static str,
    namespace: String,
    name: String,
    uid: String,
    field_path: Option<String>,
}

/// The task that posts.
pub struct Poster {
    queue: mpsc::Receiver<Fact>,
    link: Arc<dyn ApiLink>,
    node_name: String,
    seen: HashMap<Fact, Posted>,
}

struct Posted {
    key: ObjectKey,
    count: i32,
}

pub fn recorder(link: Arc<dyn ApiLink>, node_name: &str) -> (Recorder, Poster) {
    let (sender, queue) = mpsc::channel(limits::EVENT_QUEUE);
    let poster = Poster { queue, link, node_name: node_name.to_owned(), seen: HashMap::new() };
    (Recorder { queue: sender }, poster)
}

impl Recorder {
    pub fn pod(&self, pod: &Pod, level: Level, reason: &'static str, message: impl Into<String>) {
        self.send(about_pod(pod, None), level, reason, message.into());
    }

    /// About one container, by its name.
    pub fn container(
        &self,
        pod: &Pod,
        container: &str,
        level: Level,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let is_init = facts::init_containers(pod).iter().any(|init| init.name == container);
        let list = match (is_init, facts::is_ephemeral(pod, container)) {
            (true, _) => "initContainers",
            (false, true) => "ephemeralContainers",
            (false, false) => "containers",
        };
        let path = format!("spec.{list}{{{container}}}");
        self.send(about_pod(pod, Some(path)), level, reason, message.into());
    }

    pub fn node(&self, node: &Node, level: Level, reason: &'static str, message: impl Into<String>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        // Events of nodes carry the name as the uid, as in stock: describe finds them by it.
        let about =
            About { kind: "Node", namespace: String::new(), uid: name.clone(), name, field_path: None };
        self.send(about, level, reason, message.into());
    }

    fn send(&self, about: About, level: Level, reason: &'static str, message: String) {
        debug!(pod = %about.name, reason, message, "event");
        if self.queue.try_send(Fact { about, level, reason, message }).is_err() {
            warn!(reason, "event dropped: the queue is full");
        }
    }
}

fn about_pod(pod: &Pod, field_path: Option<String>) -> About {
    About {
        kind: "Pod",
        namespace: facts::namespace(pod).to_owned(),
        name: facts::name(pod).to_owned(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        field_path,
    }
}

impl Poster {
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let fact = tokio::select! {
                fact = self.queue.recv() => fact,
                () = shutdown.cancelled() => return,
            };
            let Some(fact) = fact else { return };
            if self.seen.len() >= limits::EVENT_MEMORY {
                self.seen.clear();
            }
            if !self.repeat(&fact).await {
                self.post(fact).await;
            }
        }
    }

    async fn repeat(&mut self, fact: &Fact) -> bool {
        let Some(posted) = self.seen.get_mut(fact) else { return false };
        let patch = serde_json::json!({
            "count": posted.count + 1,
            "lastTimestamp": Time(Timestamp::now()),
        });
        let patched = self.link.patch_event(&posted.key, patch).await;
        posted.count += 1;
        // The server forgets events after an hour; then it is a new one.
        patched.is_ok()
    }

    async fn post(&mut self, fact: Fact) {
        let event = self.event(&fact);
        let key = ObjectKey::of(&event);
        match self.link.create_event(&event).await {
            Ok(()) => drop(self.seen.insert(fact, Posted { key, count: 1 })),
            Err(error) => debug!(%error, reason = fact.reason, "event not posted"),
        }
    }

    fn event(&self, fact: &Fact) -> Event {
        let about = &fact.about;
        let now = Timestamp::now();
        let namespace = if about.namespace.is_empty() { "default" } else { &about.namespace };
        let level = match fact.level {
            Level::Normal => "Normal",
            Level::Warning => "Warning",
        };
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:016x}", about.name, now.as_nanosecond())),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some(about.kind.to_owned()),
                namespace: Some(about.namespace.clone()).filter(|ns| !ns.is_empty()),
                name: Some(about.name.clone()),
                uid: Some(about.uid.clone()),
                field_path: about.field_path.clone(),
                resource_version: None,
            },
            reason: Some(fact.reason.to_owned()),
            message: Some(fact.message.clone()),
            type_: Some(level.to_owned()),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource {
                component: Some("kubelet".to_owned()),
                host: Some(self.node_name.clone()),
            }),
            reporting_component: Some("kubelet".to_owned()),
            reporting_instance: Some(self.node_name.clone()),
            ..Event::default()
        }
    }
}
