//! Lifecycle hooks: postStart and preStop, by exec, HTTP or sleep.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use crate::limits;
use crate::observe::http;
use crate::runtime::Runtime;

/// Runs to its end. `Err`: the output or reason, for an event.
pub async fn run(
    runtime: &dyn Runtime,
    handler: &LifecycleHandler,
    container: &Container,
    container_id: &str,
    pod_ip: &str,
) -> Result<(), String> {
    if let Some(action) = &handler.exec {
        let command = action.command.as_deref().unwrap_or_default();
        return match runtime.exec_sync(container_id, command, Duration::ZERO).await {
            Ok(answer) if answer.exit_code == 0 => Ok(()),
            Ok(answer) => {
                let output = String::from_utf8_lossy(&answer.stderr).into_owned();
                Err(format!("command '{}' exited with {}: {output}", command.join(" "), answer.exit_code))
            }
            Err(error) => Err(error.to_string()),
        };
    }
    if let Some(action) = &handler.http_get {
        let target = http::Target::new(action, container, pod_ip)
            .ok_or_else(|| "the hook's port is not a port of the container".to_owned())?;
        return match tokio::time::timeout(limits::HOOK_HTTP, http::get(&target)).await {
            Ok(Ok((200..400, _))) => Ok(()),
            Ok(Ok((status, _))) => Err(format!("HTTP hook failed with statuscode: {status}")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(format!("Get \"{}\": context deadline exceeded", target.url())),
        };
    }
    if let Some(action) = &handler.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(action.seconds).unwrap_or_default())).await;
        return Ok(());
    }
    Err("invalid handler".to_owned())
}
