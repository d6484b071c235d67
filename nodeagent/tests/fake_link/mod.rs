//! An API server for one node, in memory: pods, ConfigMaps, statuses and events, as the agent's link shows them. The rest
//! is as on a node without a control plane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use balsa_nodeagent::api_link::{ApiLink, Change};
use balsa_proto::client::{Error, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
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
    async fn config_map(&self, key: &ObjectKey) -> Option<Arc<ConfigMap>> {
        self.state.lock().config_maps.get(&key.name).cloned().map(Arc::new)
    }
    async fn create_event(&self, event: &Event) -> Result<(), Error> {
        self.state.lock().events.extend(event.reason.clone());
        Ok(())
    }
}
