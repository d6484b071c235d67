//! The watch cache: every object of every resource in memory, fed only by the store's watch.
//!
//! Contract
//! - Guaranteed: a resource's snapshot and its window of events change together and in etcd's order. When
//!   `revision()` says R, every event up to R is in its window and its snapshot. A watcher sees each revision
//!   after its start once, in order; all watchers see the same order.
//! - Not promised: that history reaches back to any revision. A watcher whose position has left the window is
//!   ended; it never skips.
//!
//! In: one etcd watch over the whole prefix (`reflector`), demultiplexed by key. Out: ordered snapshots for
//! lists, windows for watches, `wait_for` for reads that must see a revision.

pub mod encode;
pub mod object;
mod reflector;
pub mod resource;
pub mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

pub use object::CachedObject;
pub use reflector::Reflector;
pub use resource::{ResourceCache, Snapshot};
pub use window::{Event, EventKind, Position};

use crate::error::ApiError;
use crate::kinds::Kind;
use crate::limits;

/// Reads of other parts (admission, authorization, allocation): never touches the network.
pub trait Reader: Send + Sync {
    fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<CachedObject>>;
    /// Ordered by namespace and name; an empty namespace lists all.
    fn list(&self, kind: &Kind, namespace: &str) -> Vec<Arc<CachedObject>>;
    /// Revision of the last change to any object of the kind: equal means nothing changed.
    fn last_change(&self, kind: &Kind) -> u64;
}

/// Cheap handle to the cache.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    /// By storage prefix (`pods`, `services/specs`); fixed at start.
    resources: HashMap<&'static str, Arc<ResourceCache>>,
    /// Every event up to this revision has been applied; 0 until the first fill.
    revision: watch::Sender<u64>,
    /// Raised by readers that wait; the reflector then asks etcd for progress.
    progress_wanted: Arc<tokio::sync::Notify>,
    /// Asking costs etcd no write.
    asking_is_cheap: AtomicBool,
}

impl Cache {
    /// An empty cache for every stored kind; a [`Reflector`] fills it.
    pub fn new(kinds: &'static [Kind]) -> Cache {
        let mut resources = HashMap::new();
        for kind in kinds {
            let Some(prefix) = kind.prefix() else { continue };
            resources.entry(prefix).or_insert_with(|| Arc::new(ResourceCache::new(prefix, kind.stored())));
        }
        let (revision, _) = watch::channel(0);
        let progress_wanted = Arc::new(tokio::sync::Notify::new());
        Cache {
            inner: Arc::new(Inner {
                resources,
                revision,
                progress_wanted,
                asking_is_cheap: AtomicBool::new(true),
            }),
        }
    }

    /// None for kinds that are not stored.
    pub fn resource(&self, kind: &Kind) -> Option<&Arc<ResourceCache>> {
        self.inner.resources.get(kind.prefix()?)
    }

    fn by_prefix(&self, prefix: &str) -> Option<&Arc<ResourceCache>> {
        self.inner.resources.get(prefix)
    }

    fn resources(&self) -> impl Iterator<Item = &Arc<ResourceCache>> {
        self.inner.resources.values()
    }

    pub fn revision(&self) -> u64 {
        *self.inner.revision.borrow()
    }

    pub fn is_filled(&self) -> bool {
        self.revision() > 0
    }

    pub async fn wait_filled(&self) {
        let mut revision = self.inner.revision.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = revision.wait_for(|revision| *revision > 0).await;
    }

    /// Asks etcd, through the watch, how far it is; the answer moves [`Cache::revision`].
    pub fn request_progress(&self) {
        self.inner.progress_wanted.notify_one();
    }

    /// Returns once every event up to `revision` is in the cache.
    pub async fn wait_for(&self, revision: u64) -> Result<(), ApiError> {
        let mut reached = self.inner.revision.subscribe();
        if *reached.borrow_and_update() >= revision {
            return Ok(());
        }
        let deadline = tokio::time::Instant::now() + limits::FRESHNESS_TIMEOUT;
        // Mostly the event is on its way; where asking means writing, that is waited for first.
        let mut asks = self.inner.asking_is_cheap.load(Ordering::Relaxed);
        loop {
            if std::mem::replace(&mut asks, true) {
                self.request_progress();
            }
            let next_ask = tokio::time::Instant::now() + limits::PROGRESS_RETRY;
            let wait = reached.wait_for(|now| *now >= revision);
            match tokio::time::timeout_at(next_ask.min(deadline), wait).await {
                Ok(_) => return Ok(()),
                Err(_) if tokio::time::Instant::now() >= deadline => {
                    return Err(ApiError::too_large_resource_version(revision, self.revision()));
                }
                Err(_) => {}
            }
        }
    }
}

impl Reader for Cache {
    fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<CachedObject>> {
        self.resource(kind)?.snapshot().get(namespace, name)
    }

    fn list(&self, kind: &Kind, namespace: &str) -> Vec<Arc<CachedObject>> {
        let Some(resource) = self.resource(kind) else { return Vec::new() };
        resource.snapshot().iter(namespace, None).cloned().collect()
    }

    fn last_change(&self, kind: &Kind) -> u64 {
        self.resource(kind).map_or(0, |resource| resource.snapshot().last_change)
    }
}
