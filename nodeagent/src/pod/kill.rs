//! Stopping one container: preStop hook, SIGTERM, SIGKILL when the grace is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use tracing::warn;

use super::plan::KillReason;
use super::{facts, hooks};
use crate::event::{Level, Recorder};
use crate::limits;
use crate::runtime::Runtime;

pub struct Kill {
    pub runtime: Arc<dyn Runtime>,
    pub events: Recorder,
    pub pod: Arc<Pod>,
    pub pod_ip: String,
    pub container_id: String,
    pub name: String,
    pub grace_seconds: i64,
    pub reason: KillReason,
}

impl Kill {
    /// Returns when the container is dead, or the runtime failed to end it.
    pub async fn run(self) {
        let message = match self.reason {
            KillReason::PodEnds => format!("Stopping container {}", self.name),
            KillReason::LivenessFailed => {
                format!("Container {} failed liveness probe, will be restarted", self.name)
            }
            KillReason::StartupFailed => {
                format!("Container {} failed startup probe, will be restarted", self.name)
            }
            KillReason::SpecChanged => {
                format!("Container {} definition changed, will be restarted", self.name)
            }
            KillReason::SandboxLost => format!("Stopping container {}", self.name),
        };
        self.events.container(&self.pod, &self.name, Level::Normal, "Killing", message);
        let grace = Duration::from_secs(u64::try_from(self.grace_seconds).unwrap_or_default());
        let started = Instant::now();
        if !grace.is_zero() {
            self.pre_stop(grace).await;
        }
        // The hook's time counts, but every container gets a moment to end by itself.
        let left = grace.saturating_sub(started.elapsed()).max(limits::LEAST_GRACE);
        if let Err(error) = self.runtime.stop_container(&self.container_id, left).await {
            warn!(container = %self.name, id = %self.container_id, %error, "container not stopped; tried again");
            tokio::time::sleep(limits::RELIST).await;
        }
    }

    async fn pre_stop(&self, grace: Duration) {
        let Some(container) = facts::find_container(&self.pod, &self.name) else { return };
        let Some(handler) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref())
        else {
            return;
        };
        let hook = hooks::run(self.runtime.as_ref(), handler, &container, &self.container_id, &self.pod_ip);
        match tokio::time::timeout(grace, hook).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let message = format!("PreStopHook failed: {error}");
                self.events.container(&self.pod, &self.name, Level::Warning, "FailedPreStopHook", message);
            }
            Err(_) => warn!(container = %self.name, "preStop hook did not end within the grace period"),
        }
    }
}
