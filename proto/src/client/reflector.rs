//! A reflector: list + watch of one kind into a [`Store`], with events for subscribers.
//!
//! ```text
//!  start ──► initial (resourceVersion 0: ADDED…, synced) ──► following ──stream broke──► resume from last seen
//!              ▲   keys not named again are deleted             │
//!              └────────────────── compacted ◄──────────────────┘
//! ```
//! The contract is in the module above.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::api::{Client, decode};
use super::object::{ObjectKey, PartialObject, Resource, ResourceType, target_of};
use super::store::{self, IndexFn, Store, Writer};
use super::watch::Subscription;
use crate::resources::watch_event::Type;
use crate::resources::watch_response::Response;
use crate::resources::{Projection, Target, WatchCreate, WatchEvent};

/// Events buffered per subscriber before the reflector waits for it.
const EVENTS_PER_SUBSCRIBER: usize = 1024;
/// Wait after the server refused a subscription (for example before RBAC is there).
const REFUSED_RETRY: Duration = Duration::from_millis(500);

/// What changed.
#[derive(Debug)]
pub enum Event<K> {
    Applied {
        old: Option<Arc<K>>,
        new: Arc<K>,
    },
    /// The last state that was seen.
    Deleted(Arc<K>),
    /// The store holds everything that existed at the start.
    Synced,
}

impl<K> Clone for Event<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Applied { old, new } => Self::Applied { old: old.clone(), new: new.clone() },
            Self::Deleted(object) => Self::Deleted(object.clone()),
            Self::Synced => Self::Synced,
        }
    }
}

/// Which objects of a kind; empty strings mean all.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub namespace: String,
    pub label_selector: String,
    pub field_selector: String,
}

/// Keeps a store of `K` up to date while [`Reflector::run`] runs.
pub struct Reflector<K> {
    client: Client,
    target: Target,
    scope: Scope,
    projection: Projection,
    meta: fn(&K) -> &ObjectMeta,
    indexes: Vec<(&'static str, IndexFn<K>)>,
    built: Option<(Writer<K>, Store<K>)>,
    subscribers: Vec<mpsc::Sender<Event<K>>>,
}

/// A reflector that sees only metadata, of any resource type.
pub type MetadataReflector = Reflector<PartialObject>;

impl<K: Resource> Reflector<K> {
    pub fn new(client: Client, scope: Scope) -> Self {
        let target = target_of::<K>(&scope.namespace, "", "");
        Self::build(client, target, scope, Projection::Full, |object: &K| object.metadata())
    }
}

impl MetadataReflector {
    pub fn of_type(client: Client, ty: &ResourceType, scope: Scope) -> Self {
        let target = ty.target(&scope.namespace, "");
        Self::build(client, target, scope, Projection::Metadata, |object| &object.metadata)
    }
}

impl<K: DeserializeOwned + Send + Sync + 'static> Reflector<K> {
    fn build(
        client: Client,
        target: Target,
        scope: Scope,
        projection: Projection,
        meta: fn(&K) -> &ObjectMeta,
    ) -> Self {
        Self {
            client,
            target,
            scope,
            projection,
            meta,
            indexes: Vec::new(),
            built: None,
            subscribers: Vec::new(),
        }
    }

    /// Declares an index. Must come before the first [`Reflector::store`].
    pub fn index(
        mut self,
        name: &'static str,
        values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        assert!(self.built.is_none(), "index {name} declared after the store was handed out");
        self.indexes.push((name, Arc::new(values)));
        self
    }

    /// The reading handle of the store.
    pub fn store(&mut self) -> Store<K> {
        self.built().1.clone()
    }

    fn built(&mut self) -> &(Writer<K>, Store<K>) {
        let indexes = &mut self.indexes;
        self.built.get_or_insert_with(|| store::new(std::mem::take(indexes)))
    }

    /// A lossless, bounded stream of events: a subscriber that stops reading stops the reflector.
    pub fn subscribe(&mut self) -> mpsc::Receiver<Event<K>> {
        let (sender, receiver) = mpsc::channel(EVENTS_PER_SUBSCRIBER);
        self.subscribers.push(sender);
        receiver
    }

    /// Runs until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        self.built();
        let Some((writer, store)) = self.built.take() else { return };
        let following = Following {
            writer,
            // Kept so that the store outlives a reflector whose readers come later.
            _store: store,
            subscribers: self.subscribers,
            meta: self.meta,
            kind: self.target.resource.clone(),
            seen: Some(HashSet::new()),
            announced: false,
            resource_version: 0,
        };
        let create = WatchCreate {
            watch_id: 0,
            target: Some(self.target),
            resource_version: 0,
            label_selector: self.scope.label_selector,
            field_selector: self.scope.field_selector,
            projection: self.projection as i32,
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = following.follow(&self.client, create) => {}
        }
    }
}

/// The state between answers.
struct Following<K> {
    writer: Writer<K>,
    _store: Store<K>,
    subscribers: Vec<mpsc::Sender<Event<K>>>,
    meta: fn(&K) -> &ObjectMeta,
    kind: String,
    /// Keys named since the initial set began; None once it is complete.
    seen: Option<HashSet<ObjectKey>>,
    announced: bool,
    /// Where to resume; 0 asks for the initial set.
    resource_version: u64,
}

/// What to do after an answer.
enum Next {
    Go,
    /// Subscribe again, from `resource_version`.
    Resubscribe,
    /// Subscribe again after a pause.
    Refused,
}

impl<K: DeserializeOwned + Send + Sync + 'static> Following<K> {
    async fn follow(mut self, client: &Client, create: WatchCreate) {
        loop {
            if self.resource_version == 0 {
                self.seen = Some(HashSet::new());
            }
            let create = WatchCreate { resource_version: self.resource_version, ..create.clone() };
            let Some(subscription) = client.watches().subscribe(create).await else {
                // The stream could not be opened; the link has already waited.
                continue;
            };
            if let Next::Refused = self.drain(subscription).await {
                tokio::time::sleep(REFUSED_RETRY).await;
            }
        }
    }

    async fn drain(&mut self, mut subscription: Subscription) -> Next {
        while let Some(response) = subscription.next().await {
            match self.take(response).await {
                Next::Go => {}
                end => return end,
            }
        }
        Next::Resubscribe
    }

    async fn take(&mut self, response: Response) -> Next {
        match response {
            Response::Events(events) => {
                for event in events.events {
                    self.apply(event).await;
                }
                Next::Go
            }
            Response::Synced(mark) => {
                self.finish_initial().await;
                self.reached(mark.resource_version);
                Next::Go
            }
            Response::Progress(mark) => {
                self.reached(mark.resource_version);
                Next::Go
            }
            Response::Compacted(_) => {
                self.resource_version = 0;
                Next::Resubscribe
            }
            Response::Ended(end) => {
                let reason = String::from_utf8_lossy(&end.status).into_owned();
                tracing::debug!(kind = %self.kind, reason, "watch refused or ended by the server");
                self.resource_version = 0;
                Next::Refused
            }
        }
    }

    async fn apply(&mut self, event: WatchEvent) {
        let object: K = match decode("watch event", &event.json) {
            Ok(object) => object,
            Err(error) => return tracing::error!(kind = %self.kind, %error, "object skipped"),
        };
        let key = ObjectKey::of_meta((self.meta)(&object));
        let object = Arc::new(object);
        if event.r#type == Type::Deleted as i32 {
            self.writer.remove(&key);
            self.note(event.resource_version);
            return self.publish(Event::Deleted(object)).await;
        }
        if let Some(seen) = &mut self.seen {
            seen.insert(key.clone());
        }
        let old = self.writer.apply(key, object.clone());
        self.note(event.resource_version);
        self.publish(Event::Applied { old, new: object }).await;
    }

    /// Deletes what an initial set did not name, then announces the first one.
    async fn finish_initial(&mut self) {
        let Some(seen) = self.seen.take() else { return };
        for key in self.writer.keys().into_iter().filter(|key| !seen.contains(key)) {
            if let Some(object) = self.writer.remove(&key) {
                self.publish(Event::Deleted(object)).await;
            }
        }
        if !std::mem::replace(&mut self.announced, true) {
            self.writer.set_synced();
            self.publish(Event::Synced).await;
        }
    }

    /// An event's own revision may only be resumed from once the initial set is complete.
    fn note(&mut self, resource_version: u64) {
        if self.seen.is_none() {
            self.reached(resource_version);
        }
    }

    fn reached(&mut self, resource_version: u64) {
        self.resource_version = self.resource_version.max(resource_version);
        self.writer.advance(resource_version);
    }

    async fn publish(&mut self, event: Event<K>) {
        let mut gone = false;
        for subscriber in &self.subscribers {
            gone |= subscriber.send(event.clone()).await.is_err();
        }
        if gone {
            self.subscribers.retain(|subscriber| !subscriber.is_closed());
        }
    }
}
