//! Takes a node away: its pods, its container runtime, its rules and mounts. For `balsa down`; an agent that merely
//! stops leaves all of these alone.

use futures::future::join_all;
use tracing::warn;

use crate::config::{Config, RuntimeChoice};
use crate::error::Error;
use crate::runtime::Runtime;
use crate::runtime::containerd::Containerd;
use crate::runtime::cri::Cri;
use crate::{cgroup, network, proxy, services, volume};

/// How many sandboxes were removed. The agent itself must have ended before.
pub async fn run(config: &Config) -> Result<usize, Error> {
    let RuntimeChoice::Supervised(containerd) = &config.runtime else { return Ok(0) };
    let mut removed = 0;
    if containerd.folder.exists() {
        let daemon = Containerd::start(containerd.clone()).await?;
        removed = remove_pods(&Cri::new(&daemon.socket())).await;
        daemon.stop().await;
    }
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

async fn remove_pods(runtime: &Cri) -> usize {
    let sandboxes = match runtime.list_sandboxes(None).await {
        Ok(sandboxes) => sandboxes,
        Err(error) => {
            warn!(%error, "cannot list what runs");
            return 0;
        }
    };
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
