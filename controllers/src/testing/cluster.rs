//! A cluster in memory: objects as JSON, one revision counter, and the World that watches would make of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Node, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::merge::merge;
use crate::action::{Action, Deletion, KindRef, LookUp, Target};
use crate::settings::Settings;
use crate::world::findings::Existence;
use crate::world::graph::{FOREGROUND_FINALIZER, GraphChange, ORPHAN_FINALIZER, Vertex};
use crate::world::{Change, Delta, NamespaceContent, Tabled, World};

pub struct Cluster {
    pub world: World,
    pub now: Timestamp,
    objects: BTreeMap<Id, Value>,
    revision: u64,
    names: u64,
    changes: Vec<Change>,
    /// Every object that was stored or removed, for a server's watches.
    log: Vec<(Value, bool)>,
}

pub type Id = (String, ObjectKey);

impl Cluster {
    pub fn new(settings: Settings) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let world = World::new(settings);
        Self {
            world,
            now,
            objects: BTreeMap::new(),
            revision: 0,
            names: 0,
            changes: Vec::new(),
            log: Vec::new(),
        }
    }

    /// What the watches told since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub fn take_log(&mut self) -> Vec<(Value, bool)> {
        std::mem::take(&mut self.log)
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn all(&self) -> impl Iterator<Item = &Value> {
        self.objects.values()
    }

    pub fn get(&self, kind: &str, key: &ObjectKey) -> Option<&Value> {
        self.objects.get(&(kind.to_owned(), key.clone()))
    }

    pub fn keys(&self, kind: &str) -> Vec<ObjectKey> {
        self.objects.keys().filter(|(of, _)| of == kind).map(|(_, key)| key.clone()).collect()
    }

    /// Creates or replaces an object as a user would.
    pub fn put(&mut self, mut object: Value) {
        let id = id_of(&object);
        match self.objects.get(&id) {
            Some(old) => object["metadata"] = merged(&old["metadata"], &object["metadata"]),
            None => self.stamp(&mut object),
        }
        self.store(id, object);
    }

    pub fn patch(&mut self, kind: &str, key: &ObjectKey, patch: &Value) {
        let id = (kind.to_owned(), key.clone());
        let mut object = self.objects.get(&id).unwrap_or_else(|| panic!("no {kind} {key}")).clone();
        merge(&mut object, patch);
        self.store(id, object);
    }

    /// Carries an action out; an action that a real apiserver would refuse fails the test.
    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Create { object, .. } => drop(self.create(object.to_json())),
            Action::Update { object, .. } => self.replace(object.to_json(), false),
            Action::UpdateStatus { object } => self.replace(object.to_json(), true),
            Action::Patch { target, patch, .. } => {
                self.guard(target);
                self.patch(&target.kind.kind.clone(), &target.key, patch);
            }
            Action::Delete { target, options, .. } => {
                self.guard(target);
                self.delete(&target.kind.kind.clone(), &target.key, options);
            }
            Action::Finalize { namespace } => {
                let name = namespace.metadata.name.clone().unwrap_or_default();
                self.remove(&("Namespace".to_owned(), ObjectKey::new("", name)));
            }
            Action::LookUp(look_up) => self.look_up(look_up),
            Action::Note(_) | Action::LookAgain { .. } => {}
        }
    }

    /// Deletes as a user would.
    pub fn delete(&mut self, kind: &str, key: &ObjectKey, options: &Deletion) {
        let id = (kind.to_owned(), key.clone());
        let mut object = self.objects.get(&id).unwrap_or_else(|| panic!("no {kind} {key}")).clone();
        let mut finalizers: Vec<Value> =
            object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        match options.propagation {
            Some("Foreground") => finalizers.push(json!(FOREGROUND_FINALIZER)),
            Some("Orphan") => finalizers.push(json!(ORPHAN_FINALIZER)),
            _ => {}
        }
        if finalizers.is_empty() && kind != "Namespace" {
            return self.remove(&id);
        }
        object["metadata"]["finalizers"] = json!(finalizers);
        object["metadata"]["deletionTimestamp"] = json!(self.now);
        self.store(id, object);
    }

    /// Returns the stored object.
    pub fn create(&mut self, mut object: Value) -> Value {
        if let Some(prefix) = object["metadata"]["generateName"].as_str().map(str::to_owned) {
            self.names += 1;
            object["metadata"]["name"] = json!(format!("{prefix}{}", self.names));
        }
        let id = id_of(&object);
        assert!(!self.objects.contains_key(&id), "{} {} exists", id.0, id.1);
        self.stamp(&mut object);
        self.store(id.clone(), object);
        self.objects[&id].clone()
    }

    pub fn replace(&mut self, object: Value, status_only: bool) {
        let id = id_of(&object);
        let old = self.objects.get(&id).unwrap_or_else(|| panic!("no {} {}", id.0, id.1)).clone();
        let revision = |object: &Value| object["metadata"]["resourceVersion"].clone();
        assert_eq!(revision(&old), revision(&object), "conflict on {} {}", id.0, id.1);
        let mut new = if status_only { old.clone() } else { object.clone() };
        let status = if status_only { &object["status"] } else { &old["status"] };
        new["status"] = status.clone();
        self.store(id, new);
    }

    fn guard(&self, target: &Target) {
        let object = self.get(&target.kind.kind, &target.key).unwrap_or_else(|| panic!("no {target}"));
        assert_eq!(object["metadata"]["uid"], json!(target.uid), "uid of {target}");
        if target.revision != 0 {
            let revision = json!(target.revision.to_string());
            assert_eq!(object["metadata"]["resourceVersion"], revision, "conflict on {target}");
        }
    }

    fn stamp(&mut self, object: &mut Value) {
        let uid = format!("uid-{}", self.revision + 1);
        let meta = &mut object["metadata"];
        if meta["uid"].is_null() {
            meta["uid"] = json!(uid);
        }
        if meta["creationTimestamp"].is_null() {
            meta["creationTimestamp"] = json!(self.now);
        }
        meta["generation"] = json!(1);
    }

    fn store(&mut self, id: Id, mut object: Value) {
        let leaves = !object["metadata"]["deletionTimestamp"].is_null() && id.0 != "Namespace";
        if leaves && object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            return self.remove(&id);
        }
        if let Some(old) = self.objects.get(&id)
            && old["spec"] != object["spec"]
        {
            object["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.objects.insert(id, object.clone());
        self.show(&object, false);
    }

    fn remove(&mut self, id: &Id) {
        let Some(mut object) = self.objects.remove(id) else { return };
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.show(&object, true);
    }

    /// Brings a change into tables and graph.
    fn show(&mut self, object: &Value, removed: bool) {
        self.log.push((object.clone(), removed));
        self.show_in_graph(object, removed);
        let kind = object["kind"].as_str().unwrap_or_default();
        match kind {
            "Pod" => self.show_in_table::<Pod>(object, removed),
            "Node" => self.show_in_table::<Node>(object, removed),
            "Namespace" => self.show_in_table::<Namespace>(object, removed),
            "Deployment" => self.show_in_table::<Deployment>(object, removed),
            "ReplicaSet" => self.show_in_table::<ReplicaSet>(object, removed),
            "ControllerRevision" => self.show_in_table::<ControllerRevision>(object, removed),
            "DaemonSet" => self.show_in_table::<DaemonSet>(object, removed),
            "StatefulSet" => self.show_in_table::<StatefulSet>(object, removed),
            "Job" => self.show_in_table::<Job>(object, removed),
            "CronJob" => self.show_in_table::<CronJob>(object, removed),
            "Service" => self.show_in_table::<Service>(object, removed),
            "Endpoints" => self.show_in_table::<Endpoints>(object, removed),
            "EndpointSlice" => self.show_in_table::<EndpointSlice>(object, removed),
            "ServiceAccount" => self.show_in_table::<ServiceAccount>(object, removed),
            "ConfigMap" => self.show_in_table::<ConfigMap>(object, removed),
            "ClusterRole" => self.show_in_table::<ClusterRole>(object, removed),
            "Lease" => self.show_in_table::<Lease>(object, removed),
            _ => {}
        }
    }

    fn show_in_table<K: Tabled>(&mut self, object: &Value, removed: bool) {
        let typed: K = serde_json::from_value(object.clone()).expect("a valid object");
        let typed = Arc::new(typed);
        let table = K::table(&self.world);
        let delta = if removed {
            table.remove(&typed);
            Delta { old: Some(typed), new: None }
        } else {
            Delta { old: table.apply(typed.clone(), self.now), new: Some(typed) }
        };
        self.changes.push(K::change(delta));
    }

    fn show_in_graph(&mut self, object: &Value, removed: bool) {
        let meta: ObjectMeta = serde_json::from_value(object["metadata"].clone()).expect("valid metadata");
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = KindRef {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural_of(&kind),
            kind,
            namespaced: meta.namespace.is_some(),
        };
        let vertex = Arc::new(Vertex::new(Arc::new(kind), &meta));
        if removed {
            self.world.graph.remove(&vertex.uid);
        } else {
            self.world.graph.apply(vertex.clone());
        }
        self.changes.push(Change::Graph(GraphChange { vertex, removed }));
    }

    fn look_up(&mut self, look_up: &LookUp) {
        let at = self.now;
        match look_up {
            LookUp::Owner { kind, key, uid } => {
                let namespaced = self.get(&kind.kind, key);
                let found = namespaced.or_else(|| self.get(&kind.kind, &ObjectKey::new("", &key.name)));
                let exists = found.is_some_and(|object| object["metadata"]["uid"] == json!(uid));
                self.world.findings.set_owner(uid, Existence { exists, at });
            }
            LookUp::Node { name } => {
                let exists = self.get("Node", &ObjectKey::new("", name)).is_some();
                self.world.findings.set_node(name, Existence { exists, at });
            }
            LookUp::EmptyNamespace { name, uid } => self.empty_namespace(name, uid),
        }
    }

    fn empty_namespace(&mut self, name: &str, uid: &str) {
        let ids: Vec<Id> = self.objects.keys().filter(|(_, key)| key.namespace == name).cloned().collect();
        let mut content = NamespaceContent { at: self.now, ..NamespaceContent::default() };
        for (kind, key) in ids {
            self.delete(&kind, &key, &Deletion::default());
            let Some(left) = self.get(&kind, &key) else { continue };
            for finalizer in left["metadata"]["finalizers"].as_array().into_iter().flatten() {
                let finalizer = finalizer.as_str().unwrap_or_default().to_owned();
                *content.finalizers.entry(finalizer).or_default() += 1;
            }
            *content.remaining.entry(format!("{}s.", kind.to_lowercase())).or_default() += 1;
        }
        self.world.findings.set_namespace(uid, content);
    }
}

pub fn plural_of(kind: &str) -> String {
    let kind = kind.to_lowercase();
    if kind.ends_with('s') { kind } else { format!("{kind}s") }
}

pub fn id_of(object: &Value) -> Id {
    let meta = &object["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), ObjectKey::new(text(&meta["namespace"]), text(&meta["name"])))
}

fn merged(old: &Value, new: &Value) -> Value {
    let mut merged = old.clone();
    merge(&mut merged, new);
    merged
}
