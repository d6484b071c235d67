//! Wiring: starts the parts of the node agent in their order, and stops them in reverse.
//!
//! | task | owns | ends with |
//! |---|---|---|
//! | containerd | the runtime's process | last, and it leaves the shims |
//! | link | reflectors of pods and services | the API side |
//! | dispatch + workers | the pods' containers | first; containers stay |
//! | relist | the look at the runtime | first |
//! | status writer, event poster | what is told | after the workers |
//! | services: proxy, DNS, pod network | kernel state for services, which stays | the API side |
//! | node registration, lease | the Node object | the API side |
//! | server | the agent's own port | first |

use std::sync::Arc;

use balsa_proto::client::Client;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::api_link::{self, ApiLink, Change, Offline};
use crate::cgroup::Hierarchy;
use crate::config::{Config, RuntimeChoice};
use crate::error::Error;
use crate::event;
use crate::node::capacity::Capacity;
use crate::node::{self, ready};
use crate::observe::relist::Relist;
use crate::pod::dispatch::{Dispatch, Sources};
use crate::pod::dns::{self, ClusterDns};
use crate::pod::downward::NodeFacts;
use crate::pod::image::Images;
use crate::pod::paths::Paths;
use crate::pod::resources::NodeResources;
use crate::pod::status::NodeSide;
use crate::pod::worker::Shared;
use crate::pod::{static_pods, status_writer};
use crate::runtime::containerd::Containerd;
use crate::runtime::{Runtime, cri::Cri};
use crate::serve::{self, Context, Server};
use crate::volume::Volumes;
use crate::{limits, services};

/// Runs the node agent until `shutdown`. `ready` fires when the node is Ready (or, without a control plane, when pods can
/// run). Containers are left running.
pub async fn run(
    config: Config,
    ready: oneshot::Sender<()>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let (containerd, runtime) = start_runtime(&config.runtime).await?;
    let stop_containerd = CancellationToken::new();
    let supervisor = containerd.map(|containerd| tokio::spawn(containerd.run(stop_containerd.clone())));
    let result = run_on(config, runtime, ready, shutdown).await;
    stop_containerd.cancel();
    if let Some(supervisor) = supervisor {
        supervisor.await.ok();
    }
    result
}

async fn start_runtime(choice: &RuntimeChoice) -> Result<(Option<Containerd>, Arc<dyn Runtime>), Error> {
    match choice {
        RuntimeChoice::Endpoint(endpoint) => {
            let cri = Cri::new(endpoint);
            cri.version().await.map_err(|source| Error::Runtime { endpoint: endpoint.clone(), source })?;
            Ok((None, Arc::new(cri)))
        }
        RuntimeChoice::Supervised(config) => {
            let containerd = Containerd::start(config.clone()).await?;
            let cri = Cri::new(&containerd.socket());
            Ok((Some(containerd), Arc::new(cri)))
        }
    }
}

/// The agent over a runtime that answers.
async fn run_on(
    config: Config,
    runtime: Arc<dyn Runtime>,
    ready: oneshot::Sender<()>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    for path in [&config.root_dir, &config.pod_logs_dir] {
        std::fs::create_dir_all(path).map_err(|source| Error::Create { path: path.clone(), source })?;
    }
    let version = runtime
        .version()
        .await
        .map_err(|source| Error::Runtime { endpoint: config.root_dir.clone(), source })?;
    let tasks = TaskTracker::new();
    let (link, changes) = start_link(&config, &tasks, &shutdown).await?;
    let (events, poster) = event::recorder(link.clone(), &config.node_name);
    let (statuses, writer) = status_writer::status_writer(link.clone());
    tasks.spawn(poster.run(shutdown.clone()));
    tasks.spawn(writer.run(shutdown.clone()));

    let (readiness_in, readiness) = watch::channel(ready::unknown());
    let (network_in, network_problem) = watch::channel(ready::unknown().network_problem);
    tasks.spawn(ready::run(runtime.clone(), readiness_in, network_in, shutdown.clone()));

    let parts = Parts { runtime: runtime.clone(), link: link.clone(), events: events.clone(), statuses };
    let shared = Arc::new(shared(&config, parts, network_problem, &version.runtime_name));
    let (looks_in, looks) = mpsc::channel(limits::WORKER_INBOX);
    let (relist, generation) = Relist::new(runtime.clone(), looks_in);
    let static_sets = start_static_pods(&config, &tasks, &shutdown);
    let sources = Sources {
        changes,
        static_sets,
        looks,
        is_standalone: config.client.is_none(),
        has_static_pods: config.static_pod_dir.is_some(),
    };
    let (dispatch, pods) = Dispatch::new(shared.clone(), sources);
    let server = Server::bind(
        config.listen,
        identity(&config)?,
        Context {
            runtime: runtime.clone(),
            link: config.client.is_some().then(|| link.clone()),
            pods,
            generation,
            paths: shared.paths.clone(),
            node_name: config.node_name.clone(),
        },
    )
    .await?;
    tasks.spawn(server.run(shutdown.clone()));
    tasks.spawn(dispatch.run(shutdown.clone()));
    tasks.spawn(relist.run(shutdown.clone()));
    tasks.spawn(serve::rotate::run(runtime.clone(), config.log_rotation, shutdown.clone()));

    let (node_ready_in, mut node_ready) = watch::channel(false);
    if config.client.is_some() && config.register_node {
        let container_runtime = format!("{}://{}", version.runtime_name, version.runtime_version);
        let registration =
            registration(&config, &shared, link.clone(), events, readiness, &container_runtime);
        tasks.spawn(registration.run(node_ready_in, shutdown.clone()));
        tasks.spawn(node::heartbeat::run(link, config.node_name.clone(), shutdown.clone()));
    } else {
        node_ready_in.send_replace(true);
    }
    tasks.close();
    tokio::select! {
        // The guard that `wait_for` answers with must not live across an await.
        Ok(()) = async { node_ready.wait_for(|is_ready| *is_ready).await.map(drop) } => {
            info!(node = %config.node_name, "node agent ready");
            // Whoever started us may not want to know.
            ready.send(()).ok();
            shutdown.cancelled().await;
        }
        () = shutdown.cancelled() => {}
    }
    tasks.wait().await;
    Ok(())
}

struct Parts {
    runtime: Arc<dyn Runtime>,
    link: Arc<dyn ApiLink>,
    events: event::Recorder,
    statuses: status_writer::StatusWriter,
}

async fn start_link(
    config: &Config,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<(Arc<dyn ApiLink>, mpsc::Receiver<Change>), Error> {
    let Some(client) = config.client.clone() else {
        let (_, changes) = mpsc::channel(1);
        return Ok((Arc::new(Offline), changes));
    };
    let client = Client::new(client)?;
    services::start(config, &client, tasks, shutdown).await?;
    let (link, link_tasks, changes) = api_link::connect(client, &config.node_name);
    tasks.spawn(link_tasks.run(shutdown.clone()));
    Ok((Arc::new(link), changes))
}

fn start_static_pods(
    config: &Config,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> mpsc::Receiver<Vec<Arc<k8s_openapi::api::core::v1::Pod>>> {
    let (sets, receiver) = mpsc::channel(1);
    if let Some(folder) = &config.static_pod_dir {
        let name = config.node_name.clone();
        tasks.spawn(static_pods::run(folder.clone(), name, sets, shutdown.clone()));
    }
    receiver
}

fn shared(
    config: &Config,
    parts: Parts,
    network_problem: watch::Receiver<Option<String>>,
    runtime_name: &str,
) -> Shared {
    let paths = Paths { root_dir: config.root_dir.clone(), pod_logs_dir: config.pod_logs_dir.clone() };
    let capacity = Capacity::read(&config.root_dir, config.max_pods);
    let allocatable = capacity.allocatable(config.reserved);
    let host_ips: Vec<String> = config.node_ips.iter().map(ToString::to_string).collect();
    let node = NodeFacts {
        node_name: config.node_name.clone(),
        host_ips: host_ips.clone(),
        allocatable_cpu_millis: allocatable.cpu_millis,
        allocatable_memory_bytes: allocatable.memory_bytes,
        allocatable_ephemeral_storage_bytes: allocatable.ephemeral_storage_bytes,
    };
    let cgroups = Hierarchy::detect();
    let Parts { runtime, link, events, statuses } = parts;
    Shared {
        images: Images::new(runtime.clone(), link.clone(), events.clone()),
        volumes: Volumes::new(paths.clone(), link.clone(), node.clone()),
        runtime,
        link,
        events,
        statuses,
        paths,
        dns: ClusterDns {
            servers: config.cluster_dns.clone(),
            domain: config.cluster_domain.clone(),
            node: dns::node_resolver(&config.resolv_conf),
        },
        node,
        node_side: NodeSide { host_ips, runtime_name: runtime_name.to_owned() },
        resources: NodeResources {
            memory_bytes: capacity.memory_bytes,
            enforces_cpu_quota: config.enforces_cpu_quota,
            kills_whole_container: cgroups == Hierarchy::V2,
        },
        cgroups,
        network_problem,
        sandbox_slots: Semaphore::new(limits::PARALLEL_SANDBOXES),
        start_slots: Semaphore::new(limits::PARALLEL_STARTS),
    }
}

fn registration(
    config: &Config,
    shared: &Shared,
    link: Arc<dyn ApiLink>,
    events: event::Recorder,
    readiness: watch::Receiver<ready::Readiness>,
    container_runtime: &str,
) -> node::register::Registration {
    node::register::Registration {
        link,
        runtime: shared.runtime.clone(),
        events,
        readiness,
        name: config.node_name.clone(),
        hostname: config.hostname.clone(),
        addresses: config.node_ips.clone(),
        port: config.listen.port(),
        labels: config.labels.clone(),
        taints: config.taints.clone(),
        max_pods: config.max_pods,
        reserved: config.reserved,
        thresholds: config.thresholds,
        paths: shared.paths.clone(),
        system: node::info::system(container_runtime),
    }
}

fn identity(config: &Config) -> Result<serve::tls::Identity, serve::Error> {
    let (cert_pem, key_pem) = match &config.serving_pem {
        Some(pair) => pair.clone(),
        None => serve::tls::self_signed(&config.root_dir.join("pki"), &config.node_name, &config.node_ips)?,
    };
    Ok(serve::tls::Identity { cert_pem, key_pem, client_ca_pem: config.client_ca_pem.clone() })
}
