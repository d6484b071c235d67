//! The local copy that a reflector keeps: objects by key, and by any number of indexes.
//!
//! Readers share `Arc`s and never see half an update: an object and its index entries change under one lock.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use super::object::ObjectKey;

/// Index values of an object.
pub type IndexFn<K> = Arc<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// Cheap handle for reading.
pub struct Store<K> {
    inner: Arc<RwLock<Inner<K>>>,
    synced: watch::Receiver<bool>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), synced: self.synced.clone() }
    }
}

/// The writing end; one reflector owns it.
pub struct Writer<K> {
    inner: Arc<RwLock<Inner<K>>>,
    synced: watch::Sender<bool>,
}

struct Inner<K> {
    objects: HashMap<ObjectKey, Arc<K>>,
    indexes: Vec<Index<K>>,
    revision: u64,
}

struct Index<K> {
    name: &'static str,
    values: IndexFn<K>,
    keys: HashMap<String, BTreeSet<ObjectKey>>,
}

impl<K> Index<K> {
    fn insert(&mut self, key: &ObjectKey, object: &K) {
        for value in (self.values)(object) {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &ObjectKey, object: &K) {
        for value in (self.values)(object) {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }
}

/// A store and its writing end.
pub fn new<K>(indexes: Vec<(&'static str, IndexFn<K>)>) -> (Writer<K>, Store<K>) {
    let indexes =
        indexes.into_iter().map(|(name, values)| Index { name, values, keys: HashMap::new() }).collect();
    let inner = Arc::new(RwLock::new(Inner { objects: HashMap::new(), indexes, revision: 0 }));
    let (sender, receiver) = watch::channel(false);
    (Writer { inner: inner.clone(), synced: sender }, Store { inner, synced: receiver })
}

impl<K> Writer<K> {
    /// Replaces or adds; the state before, if any.
    pub fn apply(&self, key: ObjectKey, object: Arc<K>) -> Option<Arc<K>> {
        let mut inner = self.inner.write();
        let old = inner.objects.insert(key.clone(), object.clone());
        for index in &mut inner.indexes {
            if let Some(old) = &old {
                index.remove(&key, old);
            }
            index.insert(&key, &object);
        }
        old
    }

    pub fn remove(&self, key: &ObjectKey) -> Option<Arc<K>> {
        let mut inner = self.inner.write();
        let old = inner.objects.remove(key)?;
        for index in &mut inner.indexes {
            index.remove(key, &old);
        }
        Some(old)
    }

    /// Every change up to `revision` is in the store.
    pub fn advance(&self, revision: u64) {
        let mut inner = self.inner.write();
        inner.revision = inner.revision.max(revision);
    }

    pub fn set_synced(&self) {
        self.synced.send_replace(true);
    }

    pub fn keys(&self) -> Vec<ObjectKey> {
        self.inner.read().objects.keys().cloned().collect()
    }
}

impl<K> Store<K> {
    /// A store that holds `objects` and never changes: the world of a test.
    pub fn fixed(objects: Vec<(ObjectKey, K)>, indexes: Vec<(&'static str, IndexFn<K>)>) -> Self {
        let (writer, store) = new(indexes);
        for (key, object) in objects {
            writer.apply(key, Arc::new(object));
        }
        writer.set_synced();
        store
    }

    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.inner.read().objects.get(key).cloned()
    }

    /// All objects, in no order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.inner.read().objects.values().cloned().collect()
    }

    /// Objects whose index `name` has `value`, ordered by key. An index that was never declared is a programmer error.
    pub fn by_index(&self, name: &'static str, value: &str) -> Vec<Arc<K>> {
        let inner = self.inner.read();
        let index = inner.indexes.iter().find(|index| index.name == name);
        let index = index.unwrap_or_else(|| panic!("index {name} was not declared on this reflector"));
        let keys = index.keys.get(value).into_iter().flatten();
        keys.filter_map(|key| inner.objects.get(key).cloned()).collect()
    }

    pub fn len(&self) -> usize {
        self.inner.read().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every change up to this revision is in the store.
    pub fn revision(&self) -> u64 {
        self.inner.read().revision
    }

    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Returns once the first full set of objects is in, or the reflector has ended.
    pub async fn wait_synced(&self) {
        let mut synced = self.synced.clone();
        // An error means that the reflector is gone: nothing will come any more.
        let _ = synced.wait_for(|synced| *synced).await;
    }
}
