//! Feeds, driver, actor, leader election and scheduler, all real, over a server in memory.

use std::sync::Arc;

use balsa_proto::client::{Client, ClientConfig, Credential, ObjectKey};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::server::Server;
use crate::action::Deletion;
use crate::args::{ControllersConfig, SchedulerConfig};
use crate::health::HealthConfig;
use crate::run::{self, LeaderElection};
use crate::scheduler;
use crate::settings::Settings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_of_thirty_comes_rolls_and_goes() {
    let server = Server::new();
    server.with(|cluster| {
        cluster.put(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } }));
        cluster.put(node("n1"));
        cluster.put(node("n2"));
    });
    let shutdown = CancellationToken::new();
    let parts = start(&server, &shutdown).await;

    server.with(|cluster| {
        cluster.put(deployment("web:1"));
        cluster.put(service());
    });
    server.until("30 pods serve", serves_thirty).await;
    server.until("the deployment is available", |cluster| available(cluster) == 30).await;
    assert_eq!(server.created("Pod"), 30, "no pod was created twice");
    assert_eq!(pods_on(&server, "n1"), 15, "both nodes carry the same");
    server.until("the service account", |cluster| cluster.keys("ServiceAccount").len() == 1).await;

    server.with(|cluster| cluster.put(deployment("web:2")));
    let web_2 = |pod: &Value| pod["spec"]["containers"][0]["image"] == "web:2";
    server
        .until("all pods are of the new template", |cluster| {
            let pods: Vec<_> = cluster.all().filter(|object| object["kind"] == "Pod").collect();
            pods.len() == 30 && pods.iter().all(|pod| web_2(pod))
        })
        .await;
    server
        .until("the rollout is told as complete", |cluster| {
            let deployment = cluster.get("Deployment", &web()).expect("still there");
            let conditions = deployment["status"]["conditions"].as_array().cloned().unwrap_or_default();
            available(cluster) == 30 && conditions.iter().any(|one| one["reason"] == "NewReplicaSetAvailable")
        })
        .await;
    assert_eq!(server.created("Pod"), 60, "no pod was created twice");

    server.with(|cluster| cluster.delete("Deployment", &web(), &Deletion::default()));
    server
        .until("its sets and pods are gone", |cluster| {
            cluster.keys("ReplicaSet").is_empty() && cluster.keys("Pod").is_empty()
        })
        .await;
    shutdown.cancel();
    for part in parts {
        part.await.expect("a clean stop");
    }
}

async fn start(server: &Server, shutdown: &CancellationToken) -> [tokio::task::JoinHandle<()>; 2] {
    let client = Client::over(Arc::new(server.clone()), "test");
    let unused = ClientConfig {
        server: String::new(),
        ca_pem: Vec::new(),
        credential: Credential::Token(String::new()),
        user_agent: "test".to_owned(),
    };
    let election = |name: &str| Some(LeaderElection::new("kube-system".to_owned(), name.to_owned()));
    let controllers = ControllersConfig {
        client: unused.clone(),
        settings: Settings::default(),
        controllers: run::all(),
        health: no_health(),
        leader_election: election("controllers"),
    };
    let scheduler = SchedulerConfig {
        client: unused,
        scheduler_name: "default-scheduler".to_owned(),
        health: no_health(),
        leader_election: election("scheduler"),
    };
    let (ready, controllers_ready) = oneshot::channel();
    let controllers = tokio::spawn(run::run_with(client.clone(), controllers, ready, shutdown.clone()));
    let (ready, scheduler_ready) = oneshot::channel();
    let scheduler = tokio::spawn(scheduler::run_with(client, scheduler, ready, shutdown.clone()));
    controllers_ready.await.expect("the controllers become ready");
    scheduler_ready.await.expect("the scheduler becomes ready");
    [controllers, scheduler]
}

fn no_health() -> HealthConfig {
    HealthConfig { address: std::net::Ipv4Addr::LOCALHOST.into(), port: 0 }
}

fn web() -> ObjectKey {
    ObjectKey::new("default", "web")
}

fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
        "status": {
            "allocatable": { "cpu": "8", "memory": "16Gi", "pods": "110" },
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": 30, "progressDeadlineSeconds": 600,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": image }] },
            },
        },
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "default" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "protocol": "TCP" }] },
    })
}

fn serves_thirty(cluster: &Cluster) -> bool {
    let slices = cluster.all().filter(|object| object["kind"] == "EndpointSlice");
    let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true).count() == 30
}

fn available(cluster: &Cluster) -> i64 {
    let deployment = cluster.get("Deployment", &web());
    deployment.and_then(|deployment| deployment["status"]["availableReplicas"].as_i64()).unwrap_or(0)
}

fn pods_on(server: &Server, node: &str) -> usize {
    server.with(|cluster| {
        let pods =
            cluster.all().filter(|object| object["kind"] == "Pod" && object["spec"]["nodeName"] == node);
        pods.count()
    })
}
