//! `kubernetes`: the requests that an API server lives with, on ConfigMaps that all clients share.
//!
//! Of ten requests eight are lists; the rest update, create and delete what the last list showed, each with the
//! resourceVersion that it showed, so that clients that are too late are refused. Watchers follow all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams, Preconditions};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::Pause;
use super::api::{ApiContext, Kind, version_of};
use super::object_watcher::ObjectWatcher;
use crate::history::object::ObjectVerb;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kubernetes {
    clients: u32,
    watchers: u32,
    /// Names that objects may have.
    objects: u32,
    /// Between two requests of one client.
    pause: Pause,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self { clients: 4, watchers: 2, objects: 12, pause: Pause(Duration::from_millis(20)) }
    }
}

/// Must be there before the clients start.
pub const NAMESPACE: &str = "chaos-traffic";
pub const OBJECT_PREFIX: &str = "object-";

impl Kubernetes {
    pub fn start(&self, next: &mut u32, context: &ApiContext, tasks: &mut JoinSet<()>) {
        for _ in 0..self.clients {
            tasks.spawn(work(self.clone(), *next, context.clone()));
            *next += 1;
        }
        for _ in 0..self.watchers {
            let watcher =
                ObjectWatcher { watch: *next, kind: Kind::ConfigMap, namespace: NAMESPACE.to_owned() };
            tasks.spawn(watcher.run(context.clone()));
            *next += 1;
        }
    }
}

struct Worker {
    client: u32,
    api: Api<DynamicObject>,
    context: ApiContext,
    /// What the last list or answer showed: name and resourceVersion.
    known: BTreeMap<String, String>,
    /// Makes every value one of a kind.
    writes: u64,
}

async fn work(plan: Kubernetes, client: u32, context: ApiContext) {
    // A configuration that was just written can be read; nothing is connected before the first request.
    let Ok(connection) = context.connect().await else { return };
    let api = Api::namespaced_with(connection, NAMESPACE, &Kind::ConfigMap.resource());
    let mut random = context.choices(client);
    let mut worker = Worker { client, api, context, known: BTreeMap::new(), writes: 0 };
    while worker.context.pause(plan.pause.0).await {
        let name = format!("{OBJECT_PREFIX}{}", random.random_range(0..plan.objects));
        worker.step(name, &mut random).await;
    }
}

impl Worker {
    async fn step(&mut self, name: String, random: &mut StdRng) {
        if random.random_ratio(8, 10) {
            return self.list().await;
        }
        match self.known.get(&name).cloned() {
            None => self.write(ObjectVerb::Create, name, None).await,
            Some(version) if random.random_ratio(1, 4) => self.delete(name, version).await,
            Some(version) => self.write(ObjectVerb::Update, name, Some(version)).await,
        }
    }

    async fn list(&mut self) {
        let asked = (ObjectVerb::List, format!("ConfigMap {NAMESPACE}"), String::new());
        let version = |list: &kube::core::ObjectList<DynamicObject>| {
            version_of(list.metadata.resource_version.as_ref())
        };
        let parameters = ListParams::default();
        let answer = self.context.record(self.client, asked, self.api.list(&parameters), version).await;
        if let Some(list) = answer {
            let known =
                |object: DynamicObject| Some((object.metadata.name?, object.metadata.resource_version?));
            self.known = list.items.into_iter().filter_map(known).collect();
        }
    }

    async fn write(&mut self, verb: ObjectVerb, name: String, version: Option<String>) {
        self.writes += 1;
        let value = format!("{}-{}", self.client, self.writes);
        let mut object = DynamicObject::new(&name, &Kind::ConfigMap.resource());
        object.metadata.resource_version = version;
        object.data = json!({ "data": { "value": value } });
        let asked = (verb, format!("ConfigMap {NAMESPACE}/{name}"), value);
        let parameters = PostParams::default();
        let new_version = |object: &DynamicObject| version_of(object.metadata.resource_version.as_ref());
        let answer = match verb {
            ObjectVerb::Create => {
                let request = self.api.create(&parameters, &object);
                self.context.record(self.client, asked, request, new_version).await
            }
            ObjectVerb::Update | ObjectVerb::Delete | ObjectVerb::List => {
                let request = self.api.replace(&name, &parameters, &object);
                self.context.record(self.client, asked, request, new_version).await
            }
        };
        match answer.and_then(|object| object.metadata.resource_version) {
            Some(version) => self.known.insert(name, version),
            None => self.known.remove(&name),
        };
    }

    async fn delete(&mut self, name: String, version: String) {
        let asked = (ObjectVerb::Delete, format!("ConfigMap {NAMESPACE}/{name}"), String::new());
        // What is answered has no version: it is that of the object that was there.
        let last = version_of(Some(&version));
        let precondition = Preconditions { resource_version: Some(version), uid: None };
        let parameters = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
        let request = self.api.delete(&name, &parameters);
        self.context.record(self.client, asked, request, |_| last).await;
        self.known.remove(&name);
    }
}
