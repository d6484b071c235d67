//! `pods`: pods come, move and go while faults run, and Services with them.
//!
//! A Deployment is scaled up and down, Services with node ports are made and deleted, a node is drained now and then, and
//! pods with fixed names are kept as a StatefulSet keeps its ordinals: deleted with a grace period, never by force, and
//! made again once they are gone. Nothing of it is recorded as an operation: what became of it is seen by watches and by
//! looking at the nodes' processes.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::Pause;
use super::api::{ApiContext, Kind};
use super::object_watcher::ObjectWatcher;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pods {
    /// The most that the Deployment is scaled to.
    replicas: u32,
    /// Pods with a fixed name.
    ordinals: u32,
    /// Between two changes.
    pause: Pause,
    /// Between two drains of a node; none if left out.
    drain_every: Option<Pause>,
}

impl Default for Pods {
    fn default() -> Self {
        Self { replicas: 4, ordinals: 2, pause: Pause(Duration::from_millis(1500)), drain_every: None }
    }
}

pub const NAMESPACE: &str = "chaos-pods";
/// Marks a process as a pod's; its name and uid follow as the next two arguments.
pub const PROCESS_MARK: &str = "balsa-chaos-pod";
/// Until a drained node takes pods again.
const DRAINED_FOR: Duration = Duration::from_secs(4);

pub fn ordinal_name(ordinal: u32) -> String {
    format!("ordinal-{ordinal}")
}

/// What must be there before the workload starts.
pub fn manifest() -> String {
    let pod = pod_spec();
    let labels = json!({ "app": "web" });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": NAMESPACE },
        "spec": {
            "replicas": 2, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    });
    json!({ "apiVersion": "v1", "kind": "List", "items": [deployment, service("web")] }).to_string()
}

impl Pods {
    pub fn start(&self, next: &mut u32, context: &ApiContext, tasks: &mut JoinSet<()>) {
        tasks.spawn(change(self.clone(), *next, context.clone()));
        *next += 1;
        for ordinal in 0..self.ordinals {
            tasks.spawn(keep(ordinal_name(ordinal), *next, self.pause.0, context.clone()));
            *next += 1;
        }
        if let Some(every) = self.drain_every {
            tasks.spawn(drain(every.0, *next, context.clone()));
            *next += 1;
        }
        for kind in [Kind::Pod, Kind::Service] {
            let watcher = ObjectWatcher { watch: *next, kind, namespace: String::new() };
            tasks.spawn(watcher.run(context.clone()));
            *next += 1;
        }
    }
}

/// Scales the Deployment, makes and deletes Services. A request that fails is one that faults are there for.
async fn change(plan: Pods, number: u32, context: ApiContext) {
    let Ok(client) = context.connect().await else { return };
    let mut random = context.choices(number);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let services: Api<Service> = Api::namespaced(client, NAMESPACE);
    while context.pause(plan.pause.0).await {
        let replicas = random.random_range(1..=plan.replicas);
        let scale = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let parameters = PatchParams::default();
        limited(&context, deployments.patch_scale("web", &parameters, &scale)).await;
        let name = format!("service-{}", random.random_range(0..5));
        if random.random_bool(0.5) {
            limited(&context, services.create(&PostParams::default(), &service(&name))).await;
        } else {
            limited(&context, services.delete(&name, &DeleteParams::default())).await;
        }
    }
}

/// One ordinal: there is a pod, or one is made; now and then it is deleted.
async fn keep(name: String, number: u32, pause: Duration, context: ApiContext) {
    let Ok(client) = context.connect().await else { return };
    let mut random = context.choices(number);
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    while context.pause(pause).await {
        match limited(&context, pods.get_opt(&name)).await {
            Some(None) => {
                limited(&context, pods.create(&PostParams::default(), &ordinal(&name))).await;
            }
            Some(Some(pod)) if pod.metadata.deletion_timestamp.is_none() && random.random_bool(0.4) => {
                limited(&context, pods.delete(&name, &DeleteParams::default())).await;
            }
            Some(Some(_)) | None => {}
        }
    }
}

async fn drain(every: Duration, number: u32, context: ApiContext) {
    let Ok(client) = context.connect().await else { return };
    let mut random = context.choices(number);
    while context.pause(every).await {
        if let Some(node) = any_node(&context, &client, &mut random).await {
            let nodes: Api<Node> = Api::all(client.clone());
            cordon(&context, &nodes, &node, true).await;
            let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
            let here = ListParams::default().labels("app=web").fields(&format!("spec.nodeName={node}"));
            limited(&context, pods.delete_collection(&DeleteParams::default(), &here)).await;
            context.pause(DRAINED_FOR).await;
            uncordon_surely(&context, &nodes, &node).await;
        }
    }
}

async fn any_node(context: &ApiContext, client: &Client, random: &mut StdRng) -> Option<String> {
    let nodes: Api<Node> = Api::all(client.clone());
    let list = limited(context, nodes.list(&ListParams::default())).await?;
    let number = random.random_range(0..list.items.len().max(1));
    list.items.into_iter().nth(number)?.metadata.name
}

async fn cordon(context: &ApiContext, nodes: &Api<Node>, node: &str, cordoned: bool) -> bool {
    let patch = Patch::Merge(json!({ "spec": { "unschedulable": cordoned } }));
    limited(context, nodes.patch(node, &PatchParams::default(), &patch)).await.is_some()
}

/// Also when the run has ended meanwhile: a node that takes no pods would never let the cluster settle.
async fn uncordon_surely(context: &ApiContext, nodes: &Api<Node>, node: &str) {
    const TRIES: u32 = 30;
    for _ in 0..TRIES {
        if cordon(context, nodes, node, false).await {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn limited<T>(context: &ApiContext, request: impl Future<Output = kube::Result<T>>) -> Option<T> {
    tokio::time::timeout(context.timeout, request).await.ok()?.ok()
}

fn service(name: &str) -> Service {
    let object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "type": "NodePort", "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    });
    serde_json::from_value(object).expect("a Service written by hand has the fields of one")
}

fn ordinal(name: &str) -> Pod {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": NAMESPACE, "labels": { "app": name } }, "spec": pod_spec(),
    });
    serde_json::from_value(object).expect("a Pod written by hand has the fields of one")
}

/// A shell that waits, whose arguments tell its pod to whoever looks at the process table.
fn pod_spec() -> serde_json::Value {
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    // A node that is away gives its pods back soon.
    let away = |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3 });
    json!({
        "terminationGracePeriodSeconds": 1,
        "tolerations": [away("node.kubernetes.io/not-ready"), away("node.kubernetes.io/unreachable")],
        "containers": [{
            "name": "main", "image": "balsa.local/busybox:latest", "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", "trap exit TERM; sleep 100000 & wait", PROCESS_MARK, "$(POD_NAME)", "$(POD_UID)"],
            "env": [
                { "name": "POD_NAME", "valueFrom": field("metadata.name") },
                { "name": "POD_UID", "valueFrom": field("metadata.uid") },
            ],
        }],
    })
}
