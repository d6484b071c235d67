//! The Node object: created once, or brought up to date, and its status.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeDaemonEndpoints, NodeSpec, NodeStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::capacity::{Capacity, Reserved};
use super::ready::Readiness;
use super::thresholds::Thresholds;
use super::{conditions, info as facts};
use crate::api_link::ApiLink;
use crate::event::{Level, Recorder};
use crate::limits;
use crate::pod::paths::Paths;
use crate::runtime::Runtime;

/// What the node says of itself.
pub struct Registration {
    pub link: Arc<dyn ApiLink>,
    pub runtime: Arc<dyn Runtime>,
    pub events: Recorder,
    pub readiness: watch::Receiver<Readiness>,
    pub name: String,
    pub hostname: String,
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub max_pods: u32,
    pub reserved: Reserved,
    pub paths: Paths,
    pub system: NodeSystemInfo,
    pub thresholds: Thresholds,
}

impl Registration {
    /// Registers, then keeps the status current. `ready` is told once the API server shows this node as Ready.
    pub async fn run(mut self, ready: watch::Sender<bool>, shutdown: CancellationToken) {
        let Some(mut node) = self.register(&shutdown).await else { return };
        self.events.node(&node, Level::Normal, "Starting", "Starting kubelet.");
        let mut tick = tokio::time::interval(limits::NODE_STATUS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Ok(()) = self.readiness.changed() => {}
                () = shutdown.cancelled() => return,
            }
            // What the server holds is what counts: a control plane that lost sight of this node has written over it.
            if let Some(held) = self.link.followed_node(&self.name).await {
                node = Node::clone(&held);
            }
            let status = self.status(node.status.as_ref()).await;
            let is_due = reported.is_none_or(|at| at.elapsed() >= limits::NODE_STATUS_REPORT);
            if !is_due && !differs(&status, node.status.as_ref()) {
                continue;
            }
            match self.link.patch_node_status(&self.name, json!({ "status": status })).await {
                Ok(written) => {
                    self.tell_readiness(&node, &written);
                    ready.send_replace(is_ready(&written));
                    node = written;
                    reported = Some(Instant::now());
                }
                Err(error) if error.is_not_found() => {
                    warn!("the node object is gone; registering again");
                    let Some(again) = self.register(&shutdown).await else { return };
                    (node, reported) = (again, None);
                    tick.reset_immediately();
                }
                Err(error) => warn!(%error, "node status not written; tried again"),
            }
        }
    }

    fn tell_readiness(&self, old: &Node, new: &Node) {
        let (reason, message) = match (is_ready(old), is_ready(new)) {
            (false, true) => ("NodeReady", "NodeReady"),
            (true, false) => ("NodeNotReady", "NodeNotReady"),
            (_, _) => return,
        };
        info!(node = %self.name, reason, "node readiness");
        self.events.node(new, Level::Normal, reason, format!("Node {} status is now: {message}", self.name));
    }

    async fn register(&self, shutdown: &CancellationToken) -> Option<Node> {
        let mut is_told = false;
        loop {
            match self.try_register().await {
                Ok(node) => {
                    info!(node = %self.name, "node registered");
                    return Some(node);
                }
                Err(error) if !is_told => {
                    warn!(%error, "node not registered; tried again");
                    is_told = true;
                }
                Err(error) => debug!(%error, "node not registered"),
            }
            tokio::select! {
                () = tokio::time::sleep(limits::REGISTER_RETRY) => {}
                () = shutdown.cancelled() => return None,
            }
        }
    }

    async fn try_register(&self) -> Result<Node, balsa_proto::client::Error> {
        let wanted = self.node().await;
        match self.link.create_node(&wanted).await {
            Err(error) if error.is_already_exists() => {
                let labels = json!({ "metadata": { "labels": wanted.metadata.labels } });
                self.link.patch_node(&self.name, labels).await
            }
            other => other,
        }
    }

    async fn node(&self) -> Node {
        let arch = self.system.architecture.clone();
        let mut labels = self.labels.clone();
        labels.insert("kubernetes.io/hostname".to_owned(), self.hostname.clone());
        for prefix in ["kubernetes.io", "beta.kubernetes.io"] {
            labels.insert(format!("{prefix}/os"), "linux".to_owned());
            labels.insert(format!("{prefix}/arch"), arch.clone());
        }
        let attach = ("volumes.kubernetes.io/controller-managed-attach-detach".to_owned(), "true".to_owned());
        Node {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(labels),
                annotations: Some(BTreeMap::from([attach])),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec {
                taints: (!self.taints.is_empty()).then(|| self.taints.clone()),
                ..NodeSpec::default()
            }),
            status: Some(self.status(None).await),
        }
    }

    async fn status(&self, previous: Option<&NodeStatus>) -> NodeStatus {
        let capacity = Capacity::read(&self.paths.root_dir, self.max_pods);
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let old = previous.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let readiness = self.readiness.borrow().clone();
        NodeStatus {
            addresses: Some(facts::addresses(&self.addresses, &self.hostname)),
            capacity: Some(capacity.to_list()),
            allocatable: Some(capacity.allocatable(self.reserved).to_list()),
            conditions: Some(conditions::compute(
                &readiness,
                (&self.paths.root_dir, &self.thresholds),
                old,
                now,
            )),
            daemon_endpoints: Some(NodeDaemonEndpoints {
                kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(self.port) }),
            }),
            images: Some(self.images().await),
            node_info: Some(self.system.clone()),
            ..NodeStatus::default()
        }
    }

    async fn images(&self) -> Vec<ContainerImage> {
        let mut images = self.runtime.list_images().await.unwrap_or_default();
        images.sort_by_key(|image| std::cmp::Reverse(image.size));
        images.truncate(limits::NODE_STATUS_IMAGES);
        let image = |image: balsa_proto::cri::Image| ContainerImage {
            names: Some(image.repo_digests.into_iter().chain(image.repo_tags).collect()),
            size_bytes: i64::try_from(image.size).ok(),
        };
        images.into_iter().map(image).collect()
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Heartbeat times alone are no change.
fn differs(new: &NodeStatus, old: Option<&NodeStatus>) -> bool {
    let Some(old) = old else { return true };
    let essence = |status: &NodeStatus| {
        let mut status = status.clone();
        status.conditions.iter_mut().flatten().for_each(|condition| condition.last_heartbeat_time = None);
        status
    };
    let (new, old) = (essence(new), essence(old));
    let told = |condition| old.conditions.as_ref().is_some_and(|conditions| conditions.contains(condition));
    !new.conditions.iter().flatten().all(told)
        || (&new.addresses, &new.capacity, &new.allocatable, &new.images, &new.node_info)
            != (&old.addresses, &old.capacity, &old.allocatable, &old.images, &old.node_info)
}
