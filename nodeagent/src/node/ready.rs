//! Whether the runtime and the pod network are ready, as the runtime says.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::limits;
use crate::runtime::Runtime;

/// `None`: ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    pub runtime_problem: Option<String>,
    pub network_problem: Option<String>,
}

impl Readiness {
    fn unknown(message: &str) -> Self {
        Self { runtime_problem: Some(message.to_owned()), network_problem: Some(message.to_owned()) }
    }
}

/// Looks often while something is missing, so that a node is Ready as soon as its network is, and rarely afterwards.
pub async fn run(
    runtime: Arc<dyn Runtime>,
    readiness: watch::Sender<Readiness>,
    network: watch::Sender<Option<String>>,
    shutdown: CancellationToken,
) {
    loop {
        let now = look(runtime.as_ref()).await;
        let is_ready = now == Readiness::default();
        network.send_if_modified(|old| {
            let changed = *old != now.network_problem;
            old.clone_from(&now.network_problem);
            changed
        });
        readiness.send_if_modified(|old| {
            let changed = *old != now;
            if changed {
                info!(runtime = ?now.runtime_problem, network = ?now.network_problem, "readiness changed (None: ready)");
                *old = now;
            }
            changed
        });
        let pause = if is_ready { limits::READY_LOOK } else { limits::NOT_READY_LOOK };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

pub fn unknown() -> Readiness {
    Readiness::unknown("the container runtime has not answered yet")
}

async fn look(runtime: &dyn Runtime) -> Readiness {
    let conditions = match runtime.status().await {
        Ok(conditions) => conditions,
        Err(error) => return Readiness::unknown(&format!("container runtime is down: {error}")),
    };
    let problem = |kind: &str, title: &str| {
        let Some(condition) = conditions.iter().find(|c| c.r#type == kind) else {
            return Some(format!("container runtime status: {kind} is not told"));
        };
        (!condition.status).then(|| {
            format!("{title}: {kind}=false reason:{} message:{}", condition.reason, condition.message)
        })
    };
    Readiness {
        runtime_problem: problem("RuntimeReady", "container runtime not ready"),
        network_problem: problem("NetworkReady", "container runtime network not ready"),
    }
}
