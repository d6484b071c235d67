//! A cache for tests: objects put by hand, one revision per change.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use crate::cache::{CachedObject, Reader};
use crate::kinds::{self, Kind};

#[derive(Default)]
pub struct FakeReader {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<(&'static str, String, String), Arc<CachedObject>>,
    last_change: BTreeMap<&'static str, u64>,
}

impl FakeReader {
    pub fn put(&self, plural: &str, object: &Value) {
        let group =
            object["apiVersion"].as_str().and_then(|text| text.split_once('/')).map_or("", |parts| parts.0);
        let kind = kinds::lookup(group, "v1", plural).expect("known kind");
        let mut state = self.state.lock();
        state.revision += 1;
        let revision = state.revision;
        let bytes = serde_json::to_vec(object).expect("JSON").into();
        let cached = CachedObject::decode(kind, bytes, revision).expect("object with metadata");
        let key = (kind.plural, cached.namespace.to_string(), cached.name.to_string());
        state.objects.insert(key, Arc::new(cached));
        state.last_change.insert(kind.plural, revision);
    }

    pub fn remove(&self, plural: &'static str, namespace: &str, name: &str) {
        let mut state = self.state.lock();
        state.revision += 1;
        let revision = state.revision;
        state.objects.remove(&(plural, namespace.to_owned(), name.to_owned())).expect("was there");
        state.last_change.insert(plural, revision);
    }
}

impl Reader for FakeReader {
    fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<CachedObject>> {
        let key = (kind.plural, namespace.to_owned(), name.to_owned());
        self.state.lock().objects.get(&key).cloned()
    }

    fn list(&self, kind: &Kind, namespace: &str) -> Vec<Arc<CachedObject>> {
        let state = self.state.lock();
        let matching = state.objects.iter().filter(|((plural, in_namespace, _), _)| {
            *plural == kind.plural && (namespace.is_empty() || in_namespace == namespace)
        });
        matching.map(|(_, object)| object.clone()).collect()
    }

    fn last_change(&self, kind: &Kind) -> u64 {
        self.state.lock().last_change.get(kind.plural).copied().unwrap_or(0)
    }
}
