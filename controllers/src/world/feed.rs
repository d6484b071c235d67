//! Feeds: reflectors into the World's tables and graph, and every change on to the driver.
//!
//! Promised: the World has a change before the driver hears of it; a feed that falls behind slows its watch, it never skips.

use std::sync::Arc;

use balsa_proto::client::{Client, Event, MetadataReflector, PartialObject, Reflector, ResourceType, Scope};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::findings::Existence;
use super::graph::{GraphChange, Vertex};
use super::{Change, Delta, Tabled, World};
use crate::action::KindRef;
use crate::object::uid_of;

/// Starts feeds and remembers which have not shown everything yet.
pub struct Feeds {
    client: Client,
    world: Arc<World>,
    changes: mpsc::Sender<Change>,
    shutdown: CancellationToken,
    unsynced: Vec<oneshot::Receiver<()>>,
    definitions_changed: Arc<Notify>,
}

impl Feeds {
    pub fn new(
        client: Client,
        world: Arc<World>,
        changes: mpsc::Sender<Change>,
        shutdown: CancellationToken,
    ) -> Self {
        let definitions_changed = Arc::new(Notify::new());
        Self { client, world, changes, shutdown, unsynced: Vec::new(), definitions_changed }
    }

    /// Rung when a kind may have come or gone.
    pub fn definitions_changed(&self) -> Arc<Notify> {
        self.definitions_changed.clone()
    }

    /// Feeds the table of `K`.
    pub fn table<K: Tabled>(&mut self) {
        let scope = K::scope();
        if scope.namespace.is_empty() && scope.field_selector.is_empty() {
            K::table(&self.world).mark_whole();
        }
        let mut reflector = Reflector::<K>::new(self.client.clone(), scope);
        let events = reflector.subscribe();
        let (synced, on_synced) = oneshot::channel();
        self.unsynced.push(on_synced);
        tokio::spawn(reflector.run(self.shutdown.clone()));
        tokio::spawn(feed_table(self.world.clone(), events, self.changes.clone(), synced));
    }

    /// Feeds the objects of one resource into the graph, until `stop`.
    pub fn graph(&mut self, resource: &ResourceType, stop: CancellationToken) {
        let kind = Arc::new(kind_of(resource));
        let mut reflector = MetadataReflector::of_type(self.client.clone(), resource, Scope::default());
        let events = reflector.subscribe();
        let (synced, on_synced) = oneshot::channel();
        self.unsynced.push(on_synced);
        tokio::spawn(reflector.run(stop));
        let bell = defines_kinds(&kind).then(|| self.definitions_changed.clone());
        let feed = GraphFeed { world: self.world.clone(), kind, changes: self.changes.clone(), bell };
        tokio::spawn(feed.run(events, synced));
    }

    /// Waits until every feed started so far has shown all that existed. False at shutdown.
    pub async fn synced(&mut self) -> bool {
        for feed in self.unsynced.drain(..) {
            tokio::select! {
                done = feed => if done.is_err() { return false },
                () = self.shutdown.cancelled() => return false,
            }
        }
        true
    }
}

async fn feed_table<K: Tabled>(
    world: Arc<World>,
    mut events: mpsc::Receiver<Event<K>>,
    changes: mpsc::Sender<Change>,
    synced: oneshot::Sender<()>,
) {
    let mut synced = Some(synced);
    while let Some(event) = events.recv().await {
        let delta = match event {
            Event::Applied { new, .. } => {
                let old = K::table(&world).apply(new.clone(), Timestamp::now());
                Delta { old, new: Some(new) }
            }
            Event::Deleted(last) => {
                K::table(&world).remove(&last);
                Delta { old: Some(last), new: None }
            }
            Event::Synced => {
                if let Some(synced) = synced.take() {
                    let _ = synced.send(());
                }
                continue;
            }
        };
        if changes.send(K::change(delta)).await.is_err() {
            return;
        }
    }
}

struct GraphFeed {
    world: Arc<World>,
    kind: Arc<KindRef>,
    changes: mpsc::Sender<Change>,
    /// Present for kinds whose objects define kinds.
    bell: Option<Arc<Notify>>,
}

impl GraphFeed {
    async fn run(self, mut events: mpsc::Receiver<Event<PartialObject>>, synced: oneshot::Sender<()>) {
        let mut synced = Some(synced);
        while let Some(event) = events.recv().await {
            let change = match event {
                Event::Applied { new, .. } => self.applied(&new),
                Event::Deleted(last) => self.deleted(&last),
                Event::Synced => {
                    if let Some(synced) = synced.take() {
                        let _ = synced.send(());
                    }
                    continue;
                }
            };
            if let Some(bell) = &self.bell {
                bell.notify_one();
            }
            if self.changes.send(Change::Graph(change)).await.is_err() {
                return;
            }
        }
    }

    fn applied(&self, object: &PartialObject) -> GraphChange {
        let vertex = Arc::new(Vertex::new(self.kind.clone(), &object.metadata));
        self.world.graph.apply(vertex.clone());
        GraphChange { vertex, removed: false }
    }

    /// A watch is the best witness of an end: nobody needs to ask for this owner again.
    fn deleted(&self, last: &PartialObject) -> GraphChange {
        let uid = uid_of(&last.metadata);
        self.world.graph.remove(uid);
        self.world.findings.set_owner(uid, Existence { exists: false, at: Timestamp::now() });
        GraphChange { vertex: Arc::new(Vertex::new(self.kind.clone(), &last.metadata)), removed: true }
    }
}

fn defines_kinds(kind: &KindRef) -> bool {
    matches!(kind.kind.as_str(), "CustomResourceDefinition" | "APIService")
}

fn kind_of(resource: &ResourceType) -> KindRef {
    KindRef {
        group: resource.group.clone(),
        version: resource.version.clone(),
        kind: resource.kind.clone(),
        plural: resource.resource.clone(),
        namespaced: resource.namespaced,
    }
}
