//! Serves a cluster in memory over the client's transport: the real feeds, driver, actor and scheduler run against it.
//!
//! A bound pod is Ready at once. Writes are refused as an apiserver would: conflict, not found, already exists.

use std::sync::Arc;

use async_trait::async_trait;
use balsa_proto::client::transport::{Transport, WatchStream};
use balsa_proto::client::{Error, ObjectKey};
use balsa_proto::resources::watch_event::Type;
use balsa_proto::resources::watch_request::Request;
use balsa_proto::resources::watch_response::Response;
use balsa_proto::resources::{
    CreateRequest, DeleteRequest, GetRequest, ListRequest, PatchRequest, ResourceType, Target, UpdateRequest,
    WatchCreate, WatchEvent, WatchEvents, WatchMark, WatchRequest, WatchResponse,
};
use bytes::Bytes;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::cluster::{Cluster, Id, plural_of};
use crate::action::Deletion;
use crate::settings::Settings;

#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Counts writes.
    writes: watch::Sender<u64>,
}

struct State {
    cluster: Cluster,
    watchers: Vec<Watcher>,
    created: Vec<Id>,
    addresses: usize,
}

struct Watcher {
    create: WatchCreate,
    answers: mpsc::UnboundedSender<Result<WatchResponse, Error>>,
}

const KINDS: [(&str, &str, &str); 16] = [
    ("", "v1", "Pod"),
    ("", "v1", "Node"),
    ("", "v1", "Namespace"),
    ("", "v1", "Service"),
    ("", "v1", "Endpoints"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Event"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "ReplicaSet"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "ControllerRevision"),
    ("discovery.k8s.io", "v1", "EndpointSlice"),
    ("coordination.k8s.io", "v1", "Lease"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
    ("rbac.authorization.k8s.io", "v1", "Role"),
];

impl Server {
    pub fn new() -> Self {
        let cluster = Cluster::new(Settings::default());
        let state = State { cluster, watchers: Vec::new(), created: Vec::new(), addresses: 0 };
        Self(Arc::new(Shared { state: Mutex::new(state), writes: watch::Sender::new(0) }))
    }

    /// Reads or writes the cluster as a user would.
    pub fn with<T>(&self, user: impl FnOnce(&mut Cluster) -> T) -> T {
        let mut state = self.0.state.lock();
        let result = user(&mut state.cluster);
        state.tell_watchers();
        drop(state);
        self.0.writes.send_modify(|count| *count += 1);
        result
    }

    pub fn created(&self, kind: &str) -> usize {
        self.0.state.lock().created.iter().filter(|(of, _)| of == kind).count()
    }

    /// Waits until the cluster looks as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Cluster) -> bool) {
        let mut writes = self.0.writes.subscribe();
        let reached = async {
            while !wanted(&self.0.state.lock().cluster) {
                writes.changed().await.expect("the server lives as long as the test");
            }
        };
        let limit = std::time::Duration::from_secs(30);
        tokio::time::timeout(limit, reached).await.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"));
    }

    fn write(&self, write: impl FnOnce(&mut State) -> Result<Value, Error>) -> Result<Bytes, Error> {
        let mut state = self.0.state.lock();
        let result = write(&mut state);
        state.tell_watchers();
        drop(state);
        self.0.writes.send_modify(|count| *count += 1);
        result.map(|object| bytes(&object))
    }
}

impl State {
    fn tell_watchers(&mut self) {
        self.cluster.take_changes();
        for (object, removed) in self.cluster.take_log() {
            let ty = if removed { Type::Deleted } else { Type::Modified };
            for watcher in self.watchers.iter().filter(|watcher| watcher.selects(&object)) {
                watcher.send(Response::Events(WatchEvents { events: vec![event(ty, &object)] }));
            }
        }
    }

    fn find(&self, id: &Id) -> Result<Value, Error> {
        let found = self.cluster.get(&id.0, &id.1).cloned();
        found.ok_or_else(|| {
            refused(404, "NotFound", format!("{} \"{}\" not found", plural_of(&id.0), id.1.name))
        })
    }

    /// The object, if it is still in the state that `wanted` names.
    fn guarded(&self, id: &Id, wanted: &Value) -> Result<Value, Error> {
        let present = self.find(id)?;
        for field in ["uid", "resourceVersion"] {
            if !wanted[field].is_null() && wanted[field] != present["metadata"][field] {
                return Err(refused(409, "Conflict", "the object has been modified".to_owned()));
            }
        }
        Ok(present)
    }

    fn run_pod(&mut self, key: &ObjectKey, node: &str) {
        self.addresses += 1;
        let address = format!("10.0.{}.{}", self.addresses / 250, self.addresses % 250 + 1);
        let ready =
            json!({ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let status = json!({ "phase": "Running", "podIP": address, "conditions": [ready] });
        self.cluster.patch("Pod", key, &json!({ "spec": { "nodeName": node }, "status": status }));
    }
}

impl Watcher {
    fn selects(&self, object: &Value) -> bool {
        let target = self.create.target.clone().unwrap_or_default();
        let meta = &object["metadata"];
        let name = self.create.field_selector.strip_prefix("metadata.name=");
        object["kind"] == json!(kind_of(&target))
            && (target.namespace.is_empty() || meta["namespace"] == json!(target.namespace))
            && name.is_none_or(|name| meta["name"] == json!(name))
    }

    fn send(&self, response: Response) {
        let answer = WatchResponse { watch_id: self.create.watch_id, response: Some(response) };
        let _ = self.answers.send(Ok(answer));
    }

    /// What exists, then the mark.
    fn begin(&self, cluster: &Cluster) {
        let events =
            cluster.all().filter(|object| self.selects(object)).map(|object| event(Type::Added, object));
        self.send(Response::Events(WatchEvents { events: events.collect() }));
        self.send(Response::Synced(WatchMark { resource_version: cluster.revision() }));
    }
}

#[async_trait]
impl Transport for Server {
    async fn get(&self, request: GetRequest) -> Result<Bytes, Error> {
        let id = id_of(&request.target.unwrap_or_default());
        self.0.state.lock().find(&id).map(|object| bytes(&object))
    }

    async fn list(&self, request: ListRequest) -> Result<(Vec<Bytes>, u64), Error> {
        let target = request.target.unwrap_or_default();
        let state = self.0.state.lock();
        let listed = state.cluster.keys(&kind_of(&target)).into_iter();
        let listed = listed.filter(|key| target.namespace.is_empty() || key.namespace == target.namespace);
        let objects = listed.map(|key| state.find(&(kind_of(&target), key)).map(|object| bytes(&object)));
        Ok((objects.collect::<Result<_, _>>()?, state.cluster.revision()))
    }

    async fn create(&self, request: CreateRequest) -> Result<Bytes, Error> {
        let target = request.target.unwrap_or_default();
        let body: Value = serde_json::from_slice(&request.json).expect("JSON");
        self.write(|state| {
            if target.subresource == "binding" {
                let id = id_of(&target);
                state.guarded(&id, &json!({ "uid": body["metadata"]["uid"] }))?;
                state.run_pod(&id.1, body["target"]["name"].as_str().unwrap_or_default());
                return Ok(json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }));
            }
            let id = super::cluster::id_of(&body);
            if state.cluster.get(&id.0, &id.1).is_some() {
                return Err(refused(
                    409,
                    "AlreadyExists",
                    format!("{} \"{}\" already exists", id.0, id.1.name),
                ));
            }
            let object = state.cluster.create(body);
            state.created.push(super::cluster::id_of(&object));
            Ok(object)
        })
    }

    async fn update(&self, request: UpdateRequest) -> Result<Bytes, Error> {
        let target = request.target.unwrap_or_default();
        let body: Value = serde_json::from_slice(&request.json).expect("JSON");
        self.write(|state| {
            let id = id_of(&target);
            state.guarded(&id, &body["metadata"])?;
            state.cluster.replace(body, target.subresource == "status");
            state.find(&id)
        })
    }

    async fn patch(&self, request: PatchRequest) -> Result<Bytes, Error> {
        let id = id_of(&request.target.unwrap_or_default());
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        self.write(|state| {
            let before = state.guarded(&id, &body["metadata"])?;
            state.cluster.patch(&id.0, &id.1, &body);
            Ok(state.find(&id).unwrap_or(before))
        })
    }

    async fn delete(&self, request: DeleteRequest) -> Result<Bytes, Error> {
        let id = id_of(&request.target.unwrap_or_default());
        let options: Value = serde_json::from_slice(&request.options).unwrap_or_default();
        self.write(|state| {
            let object = state.guarded(&id, &options["preconditions"])?;
            state.cluster.delete(&id.0, &id.1, &Deletion::default());
            Ok(object)
        })
    }

    async fn discover(&self) -> Result<Vec<ResourceType>, Error> {
        let verbs: Vec<_> = ["list", "watch", "delete"].map(str::to_owned).into();
        let ty = |(group, version, kind): (&str, &str, &str)| ResourceType {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: plural_of(kind),
            kind: kind.to_owned(),
            namespaced: !matches!(kind, "Node" | "Namespace" | "ClusterRole"),
            verbs: verbs.clone(),
        };
        Ok(KINDS.map(ty).into())
    }

    async fn watch(&self, mut requests: mpsc::Receiver<WatchRequest>) -> Result<WatchStream, Error> {
        let (answers, stream) = mpsc::unbounded_channel();
        let server = self.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let Some(Request::Create(create)) = request.request else { continue };
                let watcher = Watcher { create, answers: answers.clone() };
                let mut state = server.0.state.lock();
                watcher.begin(&state.cluster);
                state.watchers.push(watcher);
            }
        });
        Ok(UnboundedReceiverStream::new(stream).boxed())
    }
}

fn kind_of(target: &Target) -> String {
    let known =
        KINDS.iter().find(|(group, _, kind)| *group == target.group && plural_of(kind) == target.resource);
    known.map(|(_, _, kind)| (*kind).to_owned()).unwrap_or_default()
}

fn id_of(target: &Target) -> Id {
    (kind_of(target), ObjectKey::new(&target.namespace, &target.name))
}

fn event(ty: Type, object: &Value) -> WatchEvent {
    let revision = object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
    WatchEvent { r#type: ty as i32, json: bytes(object), resource_version: revision.unwrap_or(0) }
}

fn refused(code: i32, reason: &str, message: String) -> Error {
    Error::Api(Box::new(Status {
        code: Some(code),
        reason: Some(reason.to_owned()),
        message: Some(message),
        ..Status::default()
    }))
}

fn bytes(object: &Value) -> Bytes {
    serde_json::to_vec(object).expect("JSON").into()
}
