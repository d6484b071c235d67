//! The one task that writes the cache: fill from a full range, then follow one etcd watch over everything.
//!
//! One watch for all resources keeps start-up to one round trip and gives all resources one revision. A broken
//! stream is resumed after the last revision seen; only when etcd has compacted that away is the cache filled
//! anew, which ends every watcher.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use balsa_proto::etcd::etcdserverpb::{
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse, watch_request::RequestUnion,
};
use balsa_proto::etcd::mvccpb::{Event as StoreEvent, KeyValue, event::EventType};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::Cache;
use super::object::CachedObject;
use super::resource::{Objects, ResourceCache};
use super::window::{Event, EventKind};
use crate::limits;
use crate::storage::{Store, StoreError};

pub struct Reflector {
    cache: Cache,
    store: Store,
}

/// A resource that a batch of events changes.
struct Touched {
    resource: Arc<ResourceCache>,
    objects: Objects,
    events: Vec<Arc<Event>>,
}

/// Why a watch ended.
enum WatchEnd {
    Shutdown,
    /// Resume after the last revision.
    Broken(String),
    Compacted,
}

impl Reflector {
    pub fn new(cache: Cache, store: Store) -> Reflector {
        Reflector { cache, store }
    }

    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let filled = tokio::select! {
                filled = self.fill() => filled,
                () = shutdown.cancelled() => return,
            };
            match filled {
                Ok(()) => self.follow(&shutdown).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot fill the watch cache; trying again");
                    tokio::time::sleep(limits::RECONNECT_DELAY).await;
                }
            }
        }
    }

    /// Replaces the whole content by that of one revision.
    async fn fill(&self) -> Result<(), StoreError> {
        let prefix = self.store.prefix().to_owned();
        let mut maps: HashMap<&'static str, Objects> = HashMap::new();
        let end = crate::storage::prefix_end(prefix.as_bytes());
        let mut start = prefix.into_bytes();
        let mut revision = 0;
        loop {
            let page = self.store.range(start, end.clone(), limits::FILL_PAGE_KEYS, revision).await?;
            if revision == 0 {
                revision = page.revision;
            }
            for kv in &page.kvs {
                if let Some((resource, object)) = self.decode(kv) {
                    maps.entry(resource.prefix).or_default().insert(object.key(), Arc::new(object));
                }
            }
            match page.kvs.last() {
                Some(last) if page.more => {
                    start = last.key.to_vec();
                    start.push(0);
                }
                _ => break,
            }
        }
        for resource in self.cache.resources() {
            resource.reset(maps.remove(resource.prefix).unwrap_or_default(), revision);
        }
        self.cache.inner.revision.send_replace(revision);
        tracing::debug!(revision, "watch cache filled");
        Ok(())
    }

    /// Watches until history is lost or the server stops.
    async fn follow(&self, shutdown: &CancellationToken) {
        loop {
            match self.watch_once(shutdown).await {
                WatchEnd::Shutdown | WatchEnd::Compacted => return,
                WatchEnd::Broken(why) => {
                    tracing::warn!(why, "store watch broke; resuming");
                    tokio::time::sleep(limits::RECONNECT_DELAY).await;
                }
            }
        }
    }

    async fn watch_once(&self, shutdown: &CancellationToken) -> WatchEnd {
        let has_progress = match self.store.has_reliable_progress().await {
            Ok(has_progress) => has_progress,
            Err(error) => return WatchEnd::Broken(error.to_string()),
        };
        self.cache.inner.asking_is_cheap.store(has_progress, Ordering::Relaxed);
        let (requests, outgoing) = mpsc::channel(16);
        let create = self.create_request();
        if requests.send(create).await.is_err() {
            return WatchEnd::Broken("request stream closed".into());
        }
        let opened = tokio::select! {
            opened = self.store.watch(ReceiverStream::new(outgoing)) => opened,
            () = shutdown.cancelled() => return WatchEnd::Shutdown,
        };
        let mut responses = match opened {
            Ok(responses) => responses,
            Err(status) => return WatchEnd::Broken(status.to_string()),
        };
        loop {
            tokio::select! {
                response = responses.message() => match response {
                    Ok(Some(response)) => if let Some(end) = self.take(response) { return end },
                    Ok(None) => return WatchEnd::Broken("closed by the store".into()),
                    Err(status) => return WatchEnd::Broken(status.to_string()),
                },
                () = self.cache.inner.progress_wanted.notified(), if !has_progress => {
                    if let Err(error) = self.store.nudge().await {
                        tracing::warn!(%error, "cannot ask etcd for an event");
                    }
                }
                () = self.cache.inner.progress_wanted.notified(), if has_progress => {
                    let progress = RequestUnion::ProgressRequest(WatchProgressRequest {});
                    // A full queue already holds a request that will be answered.
                    let _ = requests.try_send(WatchRequest { request_union: Some(progress) });
                }
                () = shutdown.cancelled() => return WatchEnd::Shutdown,
            }
        }
    }

    fn create_request(&self) -> WatchRequest {
        let key = self.store.prefix().as_bytes().to_vec();
        let create = WatchCreateRequest {
            range_end: crate::storage::prefix_end(&key).into(),
            key: key.into(),
            start_revision: self.cache.revision() as i64 + 1,
            progress_notify: true,
            ..Default::default()
        };
        WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
    }

    /// Applies one response; Some ends the watch.
    fn take(&self, response: WatchResponse) -> Option<WatchEnd> {
        if response.compact_revision != 0 {
            tracing::warn!(
                compact_revision = response.compact_revision,
                "history is compacted; filling anew"
            );
            return Some(WatchEnd::Compacted);
        }
        if response.canceled {
            return Some(WatchEnd::Broken(response.cancel_reason));
        }
        if !response.events.is_empty() {
            self.apply(&response.events);
        } else if !response.created && self.cache.inner.asking_is_cheap.load(Ordering::Relaxed) {
            // Progress: every event up to the header's revision has been sent (if this etcd is to be believed).
            let revision = response.header.map_or(0, |header| header.revision as u64);
            self.advance(revision);
        }
        None
    }

    fn apply(&self, events: &[StoreEvent]) {
        let mut touched: HashMap<&'static str, Touched> = HashMap::new();
        let mut last_revision = 0;
        for store_event in events {
            let Some(kv) = &store_event.kv else { continue };
            last_revision = kv.mod_revision as u64;
            let Some((resource, key)) = self.locate(&kv.key) else { continue };
            let Touched { objects, events: out, .. } =
                touched.entry(resource.prefix).or_insert_with(|| Touched {
                    resource: resource.clone(),
                    objects: resource.snapshot().objects.clone(),
                    events: Vec::new(),
                });
            let event = if store_event.r#type() == EventType::Delete {
                remove(objects, key, last_revision)
            } else {
                insert(objects, resource, kv)
            };
            out.extend(event.map(Arc::new));
        }
        for Touched { resource, objects, events } in touched.into_values() {
            resource.publish(events, objects);
        }
        self.advance(last_revision);
    }

    fn advance(&self, revision: u64) {
        self.cache.inner.revision.send_if_modified(|current| {
            let moved = revision > *current;
            *current = revision.max(*current);
            moved
        });
    }

    fn decode(&self, kv: &KeyValue) -> Option<(&Arc<ResourceCache>, CachedObject)> {
        let (resource, _) = self.locate(&kv.key)?;
        Some((resource, decode(resource, kv)?))
    }

    /// The resource of an etcd key, and the object's key within it. Prefixes have one segment
    /// (`pods`) or two (`services/specs`, `<group>/<plural>`).
    fn locate<'k>(&self, key: &'k [u8]) -> Option<(&Arc<ResourceCache>, &'k str)> {
        let suffix = std::str::from_utf8(key).ok()?.strip_prefix(self.store.prefix())?;
        let mut slashes = suffix.match_indices('/').map(|(at, _)| at);
        let at_slash = |at: usize| Some((self.cache.by_prefix(&suffix[..at])?, &suffix[at + 1..]));
        at_slash(slashes.next()?).or_else(|| at_slash(slashes.next()?))
    }
}

fn decode(resource: &ResourceCache, kv: &KeyValue) -> Option<CachedObject> {
    match CachedObject::decode(resource.kind, kv.value.clone(), kv.mod_revision as u64) {
        Ok(object) => Some(object),
        Err(error) => {
            let key = String::from_utf8_lossy(&kv.key);
            tracing::error!(%key, %error, "an object in the store cannot be read and is left out");
            None
        }
    }
}

fn insert(objects: &mut Objects, resource: &ResourceCache, kv: &KeyValue) -> Option<Event> {
    let object = Arc::new(decode(resource, kv)?);
    let previous = objects.insert(object.key(), object.clone());
    let kind = if previous.is_some() { EventKind::Modified } else { EventKind::Added };
    Some(Event::new(kind, object, previous))
}

fn remove(objects: &mut Objects, key: &str, revision: u64) -> Option<Event> {
    let previous = objects.remove(key)?;
    let object = Arc::new(previous.deleted_at(revision));
    Some(Event::new(EventKind::Deleted, object, Some(previous)))
}
