//! An API server for one node, in memory: pods, ConfigMaps, statuses and events, as the agent's link shows them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use balsa_nodeagent::api_link::{ApiLink, Change, References};
use balsa_proto::client::{Error, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;

#[derive(Clone)]
pub struct FakeLink {
    state: Arc<Mutex<State>>,
    synced: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<String, Pod>,
    statuses: BTreeMap<String, Value>,
    config_maps: BTreeMap<String, ConfigMap>,
    events: Vec<String>,
    changes: Option<mpsc::UnboundedSender<Change>>,
}

impl State {
    fn tell(&self, change: Change) {
        if let Some(changes) = &self.changes {
            changes.send(change).ok();
        }
    }
}

fn unsupported<T>() -> Result<T, Error> {
    Err(Error::Config("not in the fake".to_owned()))
}

impl FakeLink {
    pub fn new() -> Self {
        Self { state: Arc::default(), synced: Arc::default() }
    }

    /// The same server for the next life of the agent.
    pub fn restarted(&self) -> Self {
        self.state.lock().changes = None;
        self.clone()
    }

    /// What a new agent is told: every pod, then the end of the first list, then each change.
    pub fn changes(&self) -> mpsc::Receiver<Change> {
        let (sender, mut all) = mpsc::unbounded_channel();
        let (out, receiver) = mpsc::channel(8);
        let mut state = self.state.lock();
        for pod in state.pods.values() {
            sender.send(Change::Pod(Arc::new(pod.clone()))).ok();
        }
        sender.send(Change::PodsSynced).ok();
        let is_restart = state.statuses.values().any(|status| !status.is_null());
        state.changes = Some(sender);
        let synced = self.synced.clone();
        tokio::spawn(async move {
            while let Some(change) = all.recv().await {
                let is_sync = matches!(change, Change::PodsSynced);
                if out.send(change).await.is_err() {
                    return;
                }
                synced.fetch_add(usize::from(is_sync && is_restart), Ordering::SeqCst);
            }
        });
        receiver
    }

    pub fn restarts_synced(&self) -> usize {
        self.synced.load(Ordering::SeqCst)
    }

    pub fn put_pod(&self, pod: Pod) {
        let mut state = self.state.lock();
        let name = pod.metadata.name.clone().unwrap();
        state.tell(Change::Pod(Arc::new(pod.clone())));
        state.pods.insert(name, pod);
    }

    /// The first half of a graceful deletion.
    pub fn delete_pod_object(&self, name: &str, grace_seconds: i64) {
        let mut state = self.state.lock();
        let pod = state.pods.get_mut(name).unwrap();
        pod.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
        pod.metadata.deletion_grace_period_seconds = Some(grace_seconds);
        let pod = Arc::new(pod.clone());
        state.tell(Change::Pod(pod));
    }

    pub fn put_config_map(&self, name: &str, data: &[(&str, &str)]) {
        let mut state = self.state.lock();
        let data = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let map = ConfigMap { data: Some(data), ..ConfigMap::default() };
        state.config_maps.insert(name.to_owned(), map);
        state.tell(Change::Reference(ObjectKey::new("default", name)));
    }

    pub fn status(&self, name: &str) -> Option<Value> {
        self.state.lock().statuses.get(name).cloned()
    }

    pub fn pod_count(&self) -> usize {
        self.state.lock().pods.len()
    }

    pub fn event_reasons(&self) -> Vec<String> {
        self.state.lock().events.clone()
    }
}

#[async_trait]
impl ApiLink for FakeLink {
    async fn write_pod_status(&self, key: &ObjectKey, uid: &str, status: Value) -> Result<Pod, Error> {
        let mut state = self.state.lock();
        state.statuses.insert(key.name.clone(), status.clone());
        let Some(pod) = state.pods.get_mut(&key.name) else {
            let metadata = ObjectMeta::default();
            return Ok(Pod { metadata, ..Pod::default() });
        };
        pod.status = serde_json::from_value(status).ok();
        assert_eq!(pod.metadata.uid.as_deref(), Some(uid));
        let pod = pod.clone();
        state.tell(Change::Pod(Arc::new(pod.clone())));
        Ok(pod)
    }
    async fn delete_pod(&self, key: &ObjectKey, _uid: &str) -> Result<(), Error> {
        let mut state = self.state.lock();
        if let Some(pod) = state.pods.remove(&key.name) {
            state.tell(Change::PodGone(Arc::new(pod)));
        }
        Ok(())
    }
    async fn create_pod(&self, _pod: &Pod) -> Result<Pod, Error> {
        unsupported()
    }
    async fn config_map(&self, key: &ObjectKey) -> Option<Arc<ConfigMap>> {
        self.state.lock().config_maps.get(&key.name).cloned().map(Arc::new)
    }
    async fn secret(&self, _key: &ObjectKey) -> Option<Arc<Secret>> {
        None
    }
    fn retain(&self, _references: &References) {}
    async fn services(&self, _namespace: &str) -> Vec<Arc<Service>> {
        Vec::new()
    }
    async fn service_account_token(
        &self,
        _account: &ObjectKey,
        _request: &TokenRequest,
    ) -> Result<TokenRequest, Error> {
        unsupported()
    }
    async fn create_event(&self, event: &Event) -> Result<(), Error> {
        self.state.lock().events.extend(event.reason.clone());
        Ok(())
    }
    async fn patch_event(&self, _key: &ObjectKey, _patch: Value) -> Result<(), Error> {
        Ok(())
    }
    async fn node(&self, _name: &str) -> Result<Node, Error> {
        unsupported()
    }
    async fn create_node(&self, _node: &Node) -> Result<Node, Error> {
        unsupported()
    }
    async fn patch_node(&self, _name: &str, _patch: Value) -> Result<Node, Error> {
        unsupported()
    }
    async fn patch_node_status(&self, _name: &str, _patch: Value) -> Result<Node, Error> {
        unsupported()
    }
    async fn lease(&self, _key: &ObjectKey) -> Result<Lease, Error> {
        unsupported()
    }
    async fn create_lease(&self, _lease: &Lease) -> Result<Lease, Error> {
        unsupported()
    }
    async fn update_lease(&self, _lease: &Lease) -> Result<Lease, Error> {
        unsupported()
    }
    async fn is_allowed(&self, _review: SubjectAccessReviewSpec) -> Result<bool, Error> {
        Ok(false)
    }
}
