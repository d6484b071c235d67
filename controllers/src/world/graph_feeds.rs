//! Keeps one metadata reflector per resource that can be collected: listed, watched and deleted.
//!
//! Discovers at the start, and again when a custom resource definition or an aggregated API changes; nothing polls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use balsa_proto::client::{Client, ResourceType};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::feed::Feeds;

/// Lets a burst of definitions arrive before discovering again.
const SETTLE: Duration = Duration::from_millis(500);
/// A kind that cannot be watched must not stop the collection of all others.
const SYNC_WAIT: Duration = Duration::from_secs(10);
/// Between attempts while discovery fails.
const RETRY: Duration = Duration::from_secs(1);

/// (group, plural): a resource that its group offers in another version is the same resource.
type Name = (String, String);

pub struct GraphFeeds {
    client: Client,
    feeds: Feeds,
    running: BTreeMap<Name, CancellationToken>,
    definitions_changed: Arc<Notify>,
    shutdown: CancellationToken,
}

impl GraphFeeds {
    pub fn new(client: Client, feeds: Feeds, shutdown: CancellationToken) -> Self {
        let definitions_changed = feeds.definitions_changed();
        Self { client, feeds, running: BTreeMap::new(), definitions_changed, shutdown }
    }

    /// `synced` fires when everything that existed at the start is in the graph.
    pub async fn run(mut self, synced: oneshot::Sender<()>) {
        let mut synced = Some(synced);
        loop {
            if !self.discover().await {
                return;
            }
            match tokio::time::timeout(SYNC_WAIT, self.feeds.synced()).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => warn!("some kinds cannot be watched; the owner graph goes on without them"),
            }
            if let Some(synced) = synced.take() {
                let _ = synced.send(());
            }
            tokio::select! {
                () = self.definitions_changed.notified() => {}
                () = self.shutdown.cancelled() => return,
            }
            if !self.pause(SETTLE).await {
                return;
            }
        }
    }

    /// Starts feeds of new resources, stops those of resources that are gone. False at shutdown.
    async fn discover(&mut self) -> bool {
        loop {
            match self.client.discover().await {
                Ok(types) => {
                    self.reconcile(types.iter().filter(|ty| is_collectable(ty)));
                    return true;
                }
                Err(error) => debug!(%error, "discovery failed; again"),
            }
            if !self.pause(RETRY).await {
                return false;
            }
        }
    }

    fn reconcile<'a>(&mut self, types: impl Iterator<Item = &'a ResourceType>) {
        let wanted: BTreeMap<Name, &ResourceType> =
            types.map(|ty| ((ty.group.clone(), ty.resource.clone()), ty)).collect();
        self.running.retain(|name, stop| {
            let stays = wanted.contains_key(name);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for (name, ty) in wanted {
            if !self.running.contains_key(&name) {
                let stop = self.shutdown.child_token();
                self.feeds.graph(ty, stop.clone());
                self.running.insert(name, stop);
            }
        }
    }

    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.shutdown.cancelled() => false,
        }
    }
}

/// Events own nothing, are owned by nothing, and are many.
fn is_collectable(ty: &ResourceType) -> bool {
    let verbs = ["list", "watch", "delete"];
    verbs.iter().all(|verb| ty.supports(verb)) && !ty.resource.contains('/') && ty.resource != "events"
}
