//! What the runtime and the disk have of pods that nobody wants: deleted while the agent was away.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::resources;
use super::worker::Shared;
use crate::limits;
use crate::runtime::{Result, Runtime, label};

/// Stops and removes everything of the pod, with the grace that its containers were made with.
pub async fn end(shared: Arc<Shared>, uid: String) {
    info!(uid, "ending a pod that is not known any more");
    if let Err(error) = end_in_runtime(shared.runtime.as_ref(), &uid).await {
        warn!(uid, %error, "orphaned pod not ended; tried again at the next look");
        return;
    }
    if let Err(error) = shared.volumes.remove(&uid) {
        warn!(uid, %error, "volumes of an orphaned pod not removed");
    }
    for parent in resources::possible_cgroup_parents(&uid) {
        shared.cgroups.remove_pod(&parent);
    }
    shared.paths.remove_logs(&uid);
}

async fn end_in_runtime(runtime: &dyn Runtime, uid: &str) -> Result<()> {
    let containers = runtime.list_containers(Some(uid)).await?;
    let stops = containers.iter().map(|container| {
        let grace = container.annotations.get(label::POD_GRACE_SECONDS).and_then(|text| text.parse().ok());
        let grace = Duration::from_secs(grace.unwrap_or(30)).max(limits::LEAST_GRACE);
        runtime.stop_container(&container.id, grace)
    });
    futures::future::try_join_all(stops).await?;
    for sandbox in runtime.list_sandboxes(Some(uid)).await? {
        runtime.stop_sandbox(&sandbox.id).await?;
        runtime.remove_sandbox(&sandbox.id).await?;
    }
    Ok(())
}
