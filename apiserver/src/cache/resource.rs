//! One resource in the cache: an immutable ordered snapshot for lists, and the window for watches.
//!
//! Only the reflector writes. Readers load the snapshot without a lock; the window's lock is held for the copy
//! of a batch of pointers. Order of a change: window, snapshot, then the news to watchers.

use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwap;
use imbl::OrdMap;
use parking_lot::Mutex;
use smol_str::SmolStr;
use tokio::sync::watch;

use super::object::{CachedObject, object_key};
use super::window::{Event, Lost, Position, Window};
use crate::kinds::Kind;

pub type Objects = OrdMap<SmolStr, Arc<CachedObject>>;

/// All objects of a resource right after `last_change`.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub objects: Objects,
    /// Revision of the newest change contained.
    pub last_change: u64,
}

impl Snapshot {
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<CachedObject>> {
        self.objects.get(&object_key(namespace, name)).cloned()
    }

    /// In key order, from just after the key `after`; an empty namespace means all.
    pub fn iter<'s>(
        &'s self,
        namespace: &str,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'s Arc<CachedObject>> + use<'s> {
        let prefix =
            if namespace.is_empty() { SmolStr::default() } else { smol_str::format_smolstr!("{namespace}/") };
        let start = match after {
            Some(after) => Bound::Excluded(SmolStr::new(after)),
            None => Bound::Included(prefix.clone()),
        };
        self.objects
            .range((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix.as_str()))
            .map(|(_, object)| object)
    }
}

pub struct ResourceCache {
    pub prefix: &'static str,
    /// The kind whose hooks read stored objects.
    pub kind: &'static Kind,
    snapshot: ArcSwap<Snapshot>,
    window: Mutex<Window>,
    news: watch::Sender<u64>,
}

impl ResourceCache {
    pub fn new(prefix: &'static str, kind: &'static Kind) -> ResourceCache {
        ResourceCache {
            prefix,
            kind,
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            window: Mutex::new(Window::new(0)),
            news: watch::channel(0).0,
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Told of every batch of changes; the value is only a counter.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub fn position_after(&self, revision: u64) -> Result<Position, u64> {
        self.window.lock().position_after(revision)
    }

    pub fn read(&self, position: &mut Position, out: &mut Vec<Arc<Event>>) -> Result<(), Lost> {
        self.window.lock().read(position, out)
    }

    /// Reflector only: the changes of one batch, and the state after them.
    pub(super) fn publish(&self, events: Vec<Arc<Event>>, objects: Objects) {
        let Some(last_change) = events.last().map(|event| event.revision()) else { return };
        {
            let mut window = self.window.lock();
            events.into_iter().for_each(|event| window.push(event));
        }
        self.snapshot.store(Arc::new(Snapshot { objects, last_change }));
        self.news.send_modify(|count| *count += 1);
    }

    /// Reflector only: starts over from a full listing at `revision`; every watcher is ended.
    pub(super) fn reset(&self, objects: Objects, revision: u64) {
        self.window.lock().reset(revision);
        self.snapshot.store(Arc::new(Snapshot { objects, last_change: revision }));
        self.news.send_modify(|count| *count += 1);
    }
}
