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
    let conditions = match tokio::time::timeout(limits::RUNTIME_SILENT, runtime.status()).await {
        Ok(Ok(conditions)) => conditions,
        Ok(Err(error)) => return Readiness::unknown(&format!("container runtime is down: {error}")),
        Err(_) => {
            let seconds = limits::RUNTIME_SILENT.as_secs();
            return Readiness::unknown(&format!("container runtime is down: no answer for {seconds} s"));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::fake::Fake;

    #[tokio::test(start_paused = true)]
    async fn readiness_follows_the_runtime() {
        let runtime = Fake::default();
        let (readiness_in, mut readiness) = watch::channel(unknown());
        let (network_in, _network) = watch::channel(None);
        tokio::spawn(run(Arc::new(runtime.clone()), readiness_in, network_in, CancellationToken::new()));
        let is_ready = |now: &Readiness| *now == Readiness::default();
        readiness.wait_for(is_ready).await.unwrap();
        runtime.fail("Status", "the socket is gone");
        let down = readiness.wait_for(|now| !is_ready(now)).await.unwrap().clone();
        assert!(down.runtime_problem.unwrap().contains("container runtime is down: "));
        readiness.wait_for(is_ready).await.unwrap();
        runtime.hang(true);
        let silent = readiness.wait_for(|now| !is_ready(now)).await.unwrap().clone();
        assert_eq!(silent.runtime_problem.unwrap(), "container runtime is down: no answer for 30 s");
        runtime.hang(false);
        readiness.wait_for(is_ready).await.unwrap();
    }
}
