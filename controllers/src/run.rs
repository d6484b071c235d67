//! Runs the controllers: feeds, driver, leader election.

use std::sync::Arc;

use balsa_proto::client::{Client, ClientConfig, LeaseLock};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, ObjectReference, Pod, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::ClusterRole;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::act::Actor;
use crate::action::{Note, Severity};
use crate::args::ControllersConfig;
use crate::driver::{Controller, Driver};
use crate::error::Error;
use crate::health::{Health, HealthConfig};
use crate::limits::CHANGES_QUEUED;
use crate::recorder::Recorder;
use crate::world::World;
use crate::world::feed::Feeds;
use crate::world::graph_feeds::GraphFeeds;
use crate::{
    cluster_role_aggregation, daemonset, deployment, endpoints, endpointslice, garbage, namespace, node_ipam,
    node_lifecycle, pod_garbage, replicaset, root_ca, serviceaccount, taint_eviction,
};

/// All controllers.
pub fn all() -> Vec<Controller> {
    vec![
        deployment::CONTROLLER,
        replicaset::CONTROLLER,
        daemonset::CONTROLLER,
        endpointslice::CONTROLLER,
        endpoints::CONTROLLER,
        serviceaccount::CONTROLLER,
        root_ca::CONTROLLER,
        namespace::CONTROLLER,
        garbage::CONTROLLER,
        node_lifecycle::CONTROLLER,
        taint_eviction::CONTROLLER,
        node_ipam::CONTROLLER,
        pod_garbage::CONTROLLER,
        cluster_role_aggregation::CONTROLLER,
    ]
}

/// Older names that kube-controller-manager still takes.
const ALIASES: [(&str, &str); 13] = [
    ("deployment", "deployment-controller"),
    ("replicaset", "replicaset-controller"),
    ("daemonset", "daemonset-controller"),
    ("endpointslice", "endpointslice-controller"),
    ("endpoint", "endpoints-controller"),
    ("serviceaccount", "serviceaccount-controller"),
    ("root-ca-cert-publisher", "root-ca-certificate-publisher-controller"),
    ("namespace", "namespace-controller"),
    ("garbagecollector", "garbage-collector-controller"),
    ("nodelifecycle", "node-lifecycle-controller"),
    ("nodeipam", "node-ipam-controller"),
    ("podgc", "pod-garbage-collector-controller"),
    ("clusterrole-aggregation", "clusterrole-aggregation-controller"),
];

/// Whether `name` is the controller's name or an older one.
pub fn is_called(controller: &Controller, name: &str) -> bool {
    controller.name == name || ALIASES.contains(&(name, controller.name))
}

/// Which lease to hold, and as whom.
#[derive(Clone, Debug)]
pub struct LeaderElection {
    pub namespace: String,
    pub name: String,
    pub identity: String,
}

impl LeaderElection {
    /// The identity is this host and process, as the stock components do it: `host_uuid`.
    pub fn new(namespace: String, name: String) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { namespace, name, identity: format!("{}_{}", host.trim(), uuid::Uuid::new_v4()) }
    }

    /// What `kubectl get events` tells of the lease.
    fn note(&self, what: &str) -> Note {
        let regarding = ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            ..ObjectReference::default()
        };
        let message = format!("{} {what}", self.identity);
        Note { regarding, severity: Severity::Normal, reason: "LeaderElection".to_owned(), message }
    }
}

/// Runs until `shutdown`. `ready` fires when the World is complete; with leader election the work begins when the
/// lease is held.
pub async fn run_controllers(
    config: ControllersConfig,
    ready: oneshot::Sender<()>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let (client, ready) = open(&config.client, config.health, ready, &shutdown).await?;
    run_with(client, config, ready, shutdown).await;
    Ok(())
}

/// What both components begin with: a client, and answers to health checks that follow `ready`.
pub async fn open(
    client: &ClientConfig,
    health: HealthConfig,
    ready: oneshot::Sender<()>,
    shutdown: &CancellationToken,
) -> Result<(Client, oneshot::Sender<()>), Error> {
    let client = Client::new(client.clone()).map_err(|source| Error::Client { source })?;
    let answers = Health::default();
    answers.serve(health, shutdown.clone()).await?;
    Ok((client, answers.when(ready)))
}

/// The same over a client that is there already.
pub(crate) async fn run_with(
    client: Client,
    config: ControllersConfig,
    ready: oneshot::Sender<()>,
    shutdown: CancellationToken,
) {
    let world = Arc::new(World::new(config.settings));
    let driver = Arc::new(Driver::new(world.clone(), config.controllers));
    let (changes, inbox) = mpsc::channel(CHANGES_QUEUED);
    let dispatcher = tokio::spawn({
        let driver = driver.clone();
        async move { driver.dispatch(inbox).await }
    });
    if feed(&client, &world, changes, &shutdown).await {
        let _ = ready.send(());
        let recorder = Recorder::start(client.clone(), "kube-controller-manager", shutdown.clone());
        let actor = Actor::new(client.clone(), world, recorder.clone());
        lead(&client, config.leader_election.as_ref(), &recorder, &shutdown, |leading| {
            let (driver, actor) = (driver.clone(), actor.clone());
            async move { driver.work(actor, leading).await }
        })
        .await;
    }
    dispatcher.abort();
}

/// Starts all feeds and waits until they have shown what exists. False at shutdown.
async fn feed(
    client: &Client,
    world: &Arc<World>,
    changes: mpsc::Sender<crate::world::Change>,
    shutdown: &CancellationToken,
) -> bool {
    let graph = Feeds::new(client.clone(), world.clone(), changes.clone(), shutdown.clone());
    let (synced, graph_synced) = oneshot::channel();
    tokio::spawn(GraphFeeds::new(client.clone(), graph, shutdown.clone()).run(synced));
    let mut feeds = Feeds::new(client.clone(), world.clone(), changes, shutdown.clone());
    feeds.table::<Pod>();
    feeds.table::<Node>();
    feeds.table::<Namespace>();
    feeds.table::<Deployment>();
    feeds.table::<ReplicaSet>();
    feeds.table::<DaemonSet>();
    feeds.table::<ControllerRevision>();
    feeds.table::<Service>();
    feeds.table::<Endpoints>();
    feeds.table::<EndpointSlice>();
    feeds.table::<ServiceAccount>();
    feeds.table::<ConfigMap>();
    feeds.table::<Lease>();
    feeds.table::<ClusterRole>();
    feeds.synced().await && graph_synced.await.is_ok()
}

/// Runs `work` whenever this process leads, or at once without an election, until `shutdown`.
pub async fn lead<F, Fut>(
    client: &Client,
    election: Option<&LeaderElection>,
    recorder: &Recorder,
    shutdown: &CancellationToken,
    work: F,
) where
    F: Fn(CancellationToken) -> Fut,
    Fut: Future<Output = ()>,
{
    let Some(election) = election else { return work(shutdown.child_token()).await };
    let LeaderElection { namespace, name, identity } = election;
    while !shutdown.is_cancelled() {
        let lock = LeaseLock::new(client.clone(), namespace, name, identity);
        let lead = |leading| {
            recorder.record(election.note("became leader"));
            work(leading)
        };
        let lost = lock.run(lead, shutdown.clone()).await;
        recorder.record(election.note("stopped leading"));
        info!(lease = name, lost, "no longer leading");
    }
}
