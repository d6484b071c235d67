//! A table: the objects of one kind as last seen, with indexes.
//!
//! In: one feed task, in the order of the watch. Out: reads from any planner.
//! Promised: `seen_revision` never falls; when it is ≥ r, every change of this kind up to revision r is in the table.
//! Not promised: that two tables are at the same revision.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use balsa_proto::client::{ObjectKey, Resource};
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::object::{key_of, revision_of};

/// Derives the values under which an object is found.
pub type IndexFn<K> = fn(&K) -> Vec<String>;

pub struct Table<K> {
    rows: RwLock<Rows<K>>,
    indexers: Vec<(&'static str, IndexFn<K>)>,
    /// Counts applied changes, so that a reader can wait for the next one.
    changes: watch::Sender<u64>,
    /// Whether a feed shows every object of the kind: then an own write will appear here, and can be waited for.
    whole: AtomicBool,
}

struct Row<K> {
    object: Arc<K>,
    /// By our clock, so that a judgement of silence does not depend on the clock of the silent.
    changed_at: Timestamp,
}

struct Rows<K> {
    by_key: BTreeMap<ObjectKey, Row<K>>,
    by_index: HashMap<(&'static str, String), BTreeSet<ObjectKey>>,
    seen_revision: u64,
}

impl<K: Resource> Table<K> {
    pub fn new(indexers: Vec<(&'static str, IndexFn<K>)>) -> Self {
        let rows = Rows { by_key: BTreeMap::new(), by_index: HashMap::new(), seen_revision: 0 };
        Self {
            rows: RwLock::new(rows),
            indexers,
            changes: watch::Sender::new(0),
            whole: AtomicBool::new(false),
        }
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.find(&ObjectKey::new(namespace, name))
    }

    pub fn find(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.rows.read().by_key.get(key).map(|row| row.object.clone())
    }

    /// When, by our clock, the object was last seen to change.
    pub fn changed_at(&self, namespace: &str, name: &str) -> Option<Timestamp> {
        let key = ObjectKey::new(namespace, name);
        self.rows.read().by_key.get(&key).map(|row| row.changed_at)
    }

    /// All objects, ordered by key.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.rows.read().by_key.values().map(|row| row.object.clone()).collect()
    }

    /// The objects of one namespace, ordered by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let first = ObjectKey::new(namespace, "");
        let rows = self.rows.read();
        let range = rows.by_key.range(first..).take_while(|(key, _)| key.namespace == namespace);
        range.map(|(_, row)| row.object.clone()).collect()
    }

    /// The objects that `index` puts under `value`, ordered by key.
    pub fn by_index(&self, index: &'static str, value: &str) -> Vec<Arc<K>> {
        let rows = self.rows.read();
        let keys = rows.by_index.get(&(index, value.to_owned()));
        keys.into_iter()
            .flatten()
            .filter_map(|key| rows.by_key.get(key).map(|row| row.object.clone()))
            .collect()
    }

    pub fn len(&self) -> usize {
        self.rows.read().by_key.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn seen_revision(&self) -> u64 {
        self.rows.read().seen_revision
    }

    pub fn mark_whole(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }

    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    /// Changes whenever the table does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Stores the newer state of an object; returns the older one.
    pub fn apply(&self, object: Arc<K>, now: Timestamp) -> Option<Arc<K>> {
        let key = key_of(object.metadata());
        let revision = revision_of(object.metadata());
        let mut rows = self.rows.write();
        rows.seen_revision = rows.seen_revision.max(revision);
        // A relist repeats what is known: that is no change.
        let unchanged = rows.by_key.get(&key).filter(|row| revision_of(row.object.metadata()) == revision);
        let changed_at = unchanged.map_or(now, |row| row.changed_at);
        let old = rows.by_key.insert(key.clone(), Row { object: object.clone(), changed_at });
        let old = old.map(|row| row.object);
        if let Some(old) = &old {
            self.unindex(&mut rows, &key, old);
        }
        for (index, values) in &self.indexers {
            for value in values(&object) {
                rows.by_index.entry((index, value)).or_default().insert(key.clone());
            }
        }
        drop(rows);
        self.changes.send_modify(|count| *count += 1);
        old
    }

    /// Forgets an object; `last` carries the revision of the deletion.
    pub fn remove(&self, last: &K) -> Option<Arc<K>> {
        let key = key_of(last.metadata());
        let mut rows = self.rows.write();
        rows.seen_revision = rows.seen_revision.max(revision_of(last.metadata()));
        let old = rows.by_key.remove(&key).map(|row| row.object);
        if let Some(old) = &old {
            self.unindex(&mut rows, &key, old);
        }
        drop(rows);
        self.changes.send_modify(|count| *count += 1);
        old
    }

    fn unindex(&self, rows: &mut Rows<K>, key: &ObjectKey, old: &K) {
        for (index, values) in &self.indexers {
            for value in values(old) {
                let slot = (*index, value);
                let Some(keys) = rows.by_index.get_mut(&slot) else { continue };
                keys.remove(key);
                if keys.is_empty() {
                    rows.by_index.remove(&slot);
                }
            }
        }
    }
}
