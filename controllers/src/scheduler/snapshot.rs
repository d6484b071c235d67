//! The snapshot: nodes with what runs on them, kept up to date change by change.
//!
//! In: nodes and bound pods from the watch, and assumed pods from our own decisions. A pod is on at most one node; the watch's word
//! replaces an assumption.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Toleration};

use super::resources::{Resources, compared_requests, requests};
use super::topology::TopologyTerms;
use crate::object::{key_of, name_of, namespace_of, uid_of};
use crate::selector::Labels;

/// What the scheduler knows of a pod, worked out once.
#[derive(Debug)]
pub struct PodFacts {
    pub pod: Arc<Pod>,
    pub key: ObjectKey,
    pub uid: String,
    pub requests: Resources,
    pub compared: Resources,
    pub host_ports: Vec<HostPort>,
    pub terms: TopologyTerms,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub ip: String,
    pub protocol: String,
    pub port: i32,
}

/// One node and its load.
#[derive(Debug, Default)]
pub struct NodeInfo {
    pub name: String,
    /// Missing while pods are still bound to a node that is gone.
    pub node: Option<Arc<Node>>,
    pub allocatable: Resources,
    pub requested: Resources,
    pub compared: Resources,
    pub pods: BTreeMap<String, Arc<PodFacts>>,
    /// Sizes in bytes by image name.
    pub images: HashMap<String, i64>,
}

#[derive(Debug, Default)]
pub struct Snapshot {
    nodes: BTreeMap<String, NodeInfo>,
    places: HashMap<String, String>,
    /// Labels of namespaces, which affinity terms may select by.
    pub namespaces: HashMap<String, Labels>,
}

impl PodFacts {
    pub fn new(pod: Arc<Pod>) -> Self {
        let default_spec = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&default_spec);
        Self {
            key: key_of(&pod.metadata),
            uid: uid_of(&pod.metadata).to_owned(),
            requests: requests(spec),
            compared: compared_requests(spec),
            host_ports: host_ports(spec),
            terms: TopologyTerms::new(spec, &pod),
            pod: pod.clone(),
        }
    }

    pub fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    pub fn tolerations(&self) -> &[Toleration] {
        self.spec().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        namespace_of(&self.pod.metadata)
    }

    pub fn labels(&self) -> Option<&Labels> {
        self.pod.metadata.labels.as_ref()
    }
}

impl NodeInfo {
    /// The node with nothing on it.
    pub fn of(node: Arc<Node>) -> Self {
        let mut info = Self { name: name_of(&node.metadata).to_owned(), ..Self::default() };
        info.describe(node);
        info
    }

    pub fn labels(&self) -> Option<&Labels> {
        self.node.as_ref()?.metadata.labels.as_ref()
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels()?.get(name).map(String::as_str)
    }

    fn add(&mut self, facts: Arc<PodFacts>) {
        self.requested.add(&facts.requests);
        self.compared.add(&facts.compared);
        self.pods.insert(facts.uid.clone(), facts);
    }

    fn remove(&mut self, uid: &str) {
        let Some(facts) = self.pods.remove(uid) else { return };
        self.requested.subtract(&facts.requests);
        self.compared.subtract(&facts.compared);
    }

    fn describe(&mut self, node: Arc<Node>) {
        let status = node.status.clone().unwrap_or_default();
        let offered = status.allocatable.or(status.capacity).unwrap_or_default();
        self.allocatable = Resources::parse(&offered);
        self.images.clear();
        for image in status.images.iter().flatten() {
            for name in image.names.iter().flatten() {
                self.images.insert(name.clone(), image.size_bytes.unwrap_or(0));
            }
        }
        self.node = Some(node);
    }
}

impl Snapshot {
    /// Nodes that exist, ordered by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.values().filter(|info| info.node.is_some())
    }

    /// Where a pod is, or is assumed to be.
    pub fn place_of(&self, uid: &str) -> Option<&str> {
        self.places.get(uid).map(String::as_str)
    }

    pub fn put_node(&mut self, node: Arc<Node>) {
        self.entry(name_of(&node.metadata).to_owned().as_str()).describe(node);
    }

    pub fn remove_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.get_mut(name) {
            info.node = None;
            if info.pods.is_empty() {
                self.nodes.remove(name);
            }
        }
    }

    /// Puts a pod on a node: as assumed, or as the watch says.
    pub fn put_pod(&mut self, facts: Arc<PodFacts>, node: &str) {
        self.remove_pod(&facts.uid);
        self.places.insert(facts.uid.clone(), node.to_owned());
        self.entry(node).add(facts);
    }

    pub fn remove_pod(&mut self, uid: &str) {
        let Some(node) = self.places.remove(uid) else { return };
        let Some(info) = self.nodes.get_mut(&node) else { return };
        info.remove(uid);
        if info.pods.is_empty() && info.node.is_none() {
            self.nodes.remove(&node);
        }
    }

    fn entry(&mut self, name: &str) -> &mut NodeInfo {
        let new = || NodeInfo { name: name.to_owned(), ..NodeInfo::default() };
        self.nodes.entry(name.to_owned()).or_insert_with(new)
    }
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let on_host = ports.filter_map(|port| {
        Some(HostPort {
            ip: port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned()),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            port: port.host_port.filter(|port| *port > 0)?,
        })
    });
    on_host.collect()
}
