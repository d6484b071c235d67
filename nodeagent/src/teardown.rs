//! Takes a node away: its pods, its container runtime, its rules and mounts. For `balsa down`; an agent that merely
//! stops leaves all of these alone.

use futures::future::join_all;
use tracing::warn;

use crate::config::{Config, RuntimeChoice};
use crate::error::Error;
use crate::pod::paths::Paths;
use crate::runtime::Runtime;
use crate::runtime::containerd::Containerd;
use crate::runtime::cri::Cri;
use crate::{cgroup, network, proxy, services, volume};

/// How many sandboxes were removed. The agent itself must have ended before.
pub async fn run(config: &Config) -> Result<usize, Error> {
    let removed = match &config.runtime {
        RuntimeChoice::Supervised(containerd) if containerd.folder.exists() => {
            let daemon = Containerd::start(containerd.clone()).await?;
            let removed = remove_pods(&Cri::new(&daemon.socket()), |_| true).await;
            daemon.stop().await;
            removed
        }
        RuntimeChoice::Supervised(_) => 0,
        // Others may use it too: ours are the pods that have a folder here.
        RuntimeChoice::Endpoint(socket) => {
            let pods = config.root_dir.join("pods");
            let is_ours = |uid: &str| !uid.is_empty() && pods.join(uid).is_dir();
            let cri = Cri::new(socket);
            cri.version().await.map_err(|source| Error::Runtime { endpoint: socket.clone(), source })?;
            remove_pods(&cri, is_ours).await
        }
    };
    if let Err(error) = network::remove(&services::network_config(config)).await {
        warn!(error = &error as &dyn std::error::Error, "the pod network was not removed whole");
    }
    if let Err(error) = proxy::remove().await {
        warn!(error = &error as &dyn std::error::Error, "the service rules were not removed");
    }
    if let Err(error) = volume::mounts::unmount_below(&config.root_dir) {
        warn!(%error, "a volume could not be unmounted");
    }
    Ok(removed)
}

/// The logs of this node's pods. To be called while the folders of the pods are there still, which tell whose they are.
pub fn remove_logs(config: &Config) {
    let paths = Paths { root_dir: config.root_dir.clone(), pod_logs_dir: config.pod_logs_dir.clone() };
    paths.pod_uids().iter().for_each(|uid| paths.remove_logs(uid));
}

async fn remove_pods(runtime: &Cri, is_ours: impl Fn(&str) -> bool) -> usize {
    let mut sandboxes = match runtime.list_sandboxes(None).await {
        Ok(sandboxes) => sandboxes,
        Err(error) => {
            warn!(%error, "cannot list what runs");
            return 0;
        }
    };
    sandboxes.retain(|sandbox| is_ours(sandbox.metadata.as_ref().map_or("", |metadata| &metadata.uid)));
    let cgroups = cgroup::Hierarchy::detect();
    let removals = sandboxes.iter().map(|sandbox| async {
        let removed = match runtime.stop_sandbox(&sandbox.id).await {
            Ok(()) => runtime.remove_sandbox(&sandbox.id).await,
            failed => failed,
        };
        let uid = sandbox.metadata.as_ref().map(|metadata| metadata.uid.as_str()).unwrap_or_default();
        for class in ["", "burstable/", "besteffort/"] {
            cgroups.remove_pod(&format!("/kubepods/{class}pod{uid}"));
        }
        removed.map_err(|error| warn!(%error, sandbox = %sandbox.id, "not removed")).is_ok()
    });
    join_all(removals).await.into_iter().filter(|removed| *removed).count()
}
