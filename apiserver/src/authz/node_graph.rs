//! Which node may see which object, because a pod bound to that node refers to it.
//!
//! In: pods as they change. Out: [`NodeGraph::reaches`]. Mirror pods count for nothing: a node makes them
//! itself and could otherwise name any secret. Volumes are reached through their claim, by the caller.
//! Invariant: `edges` counts exactly the references of `pods`.

use std::collections::HashMap;

use serde_json::Value;

const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Secret,
    ConfigMap,
    Claim,
    ResourceClaim,
    ServiceAccount,
    Pod,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Edge {
    node: String,
    target: Target,
    namespace: String,
    name: String,
}

#[derive(Default)]
pub struct NodeGraph {
    pods: HashMap<(String, String), Vec<Edge>>,
    /// How many pods hold each edge.
    edges: HashMap<Edge, usize>,
}

impl NodeGraph {
    pub fn put_pod(&mut self, namespace: &str, name: &str, pod: &Value) {
        self.remove_pod(namespace, name);
        let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) else { return };
        let edges: Vec<Edge> = references(name, pod)
            .into_iter()
            .map(|(target, name)| Edge {
                node: node.to_owned(),
                target,
                namespace: namespace.to_owned(),
                name,
            })
            .collect();
        for edge in &edges {
            *self.edges.entry(edge.clone()).or_default() += 1;
        }
        self.pods.insert((namespace.to_owned(), name.to_owned()), edges);
    }

    pub fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some(edges) = self.pods.remove(&(namespace.to_owned(), name.to_owned())) else { return };
        for edge in edges {
            let count = self.edges.get_mut(&edge).expect("every edge of a pod is counted");
            *count -= 1;
            if *count == 0 {
                self.edges.remove(&edge);
            }
        }
    }

    pub fn reaches(&self, node: &str, target: Target, namespace: &str, name: &str) -> bool {
        let edge =
            Edge { node: node.to_owned(), target, namespace: namespace.to_owned(), name: name.to_owned() };
        self.edges.contains_key(&edge)
    }
}

/// Everything in the pod's namespace that its node needs to run it.
fn references(pod_name: &str, pod: &Value) -> Vec<(Target, String)> {
    let mut found = vec![(Target::Pod, pod_name.to_owned())];
    if pod["metadata"]["annotations"].get(MIRROR_ANNOTATION).is_some() {
        return found;
    }
    let spec = &pod["spec"];
    add(&mut found, Target::ServiceAccount, &spec["serviceAccountName"]);
    for secret in items(&spec["imagePullSecrets"]) {
        add(&mut found, Target::Secret, &secret["name"]);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        items(&spec[list]).iter().for_each(|container| add_environment(&mut found, container));
    }
    items(&spec["volumes"]).iter().for_each(|volume| add_volume(&mut found, pod_name, volume));
    for status in items(&pod["status"]["resourceClaimStatuses"]) {
        add(&mut found, Target::ResourceClaim, &status["resourceClaimName"]);
    }
    for claim in items(&spec["resourceClaims"]) {
        add(&mut found, Target::ResourceClaim, &claim["resourceClaimName"]);
    }
    found
}

fn add_environment(found: &mut Vec<(Target, String)>, container: &Value) {
    for source in items(&container["envFrom"]) {
        add(found, Target::ConfigMap, &source["configMapRef"]["name"]);
        add(found, Target::Secret, &source["secretRef"]["name"]);
    }
    for variable in items(&container["env"]) {
        add(found, Target::ConfigMap, &variable["valueFrom"]["configMapKeyRef"]["name"]);
        add(found, Target::Secret, &variable["valueFrom"]["secretKeyRef"]["name"]);
    }
}

fn add_volume(found: &mut Vec<(Target, String)>, pod_name: &str, volume: &Value) {
    add(found, Target::ConfigMap, &volume["configMap"]["name"]);
    add(found, Target::Secret, &volume["secret"]["secretName"]);
    add(found, Target::Claim, &volume["persistentVolumeClaim"]["claimName"]);
    if volume.get("ephemeral").is_some() {
        let claim = format!("{pod_name}-{}", volume["name"].as_str().unwrap_or_default());
        found.push((Target::Claim, claim));
    }
    for source in items(&volume["projected"]["sources"]) {
        add(found, Target::ConfigMap, &source["configMap"]["name"]);
        add(found, Target::Secret, &source["secret"]["name"]);
    }
    // In-tree drivers and CSI name their secrets in the same namespace.
    for driver in ["azureFile", "cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"] {
        add(found, Target::Secret, &volume[driver]["secretRef"]["name"]);
        add(found, Target::Secret, &volume[driver]["secretName"]);
    }
    add(found, Target::Secret, &volume["csi"]["nodePublishSecretRef"]["name"]);
}

fn add(found: &mut Vec<(Target, String)>, target: Target, name: &Value) {
    if let Some(name) = name.as_str().filter(|name| !name.is_empty()) {
        found.push((target, name.to_owned()));
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
