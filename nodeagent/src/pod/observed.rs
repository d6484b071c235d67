//! What the runtime has of one pod, in our own words.
//!
//! Read with two lists and one status per container. Newest first, since the newest attempt is the one that counts.

use jiff::Timestamp;

use balsa_proto::cri as api;

use super::termination_message;
use crate::runtime::{Result, Runtime, label};

#[derive(Debug, Clone, Default)]
pub struct Observed {
    pub sandboxes: Vec<Sandbox>,
    pub containers: Vec<Container>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub id: String,
    pub attempt: u32,
    pub is_ready: bool,
    /// Empty with host networking.
    pub ips: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    Exited,
    Unknown,
}

#[derive(Debug, Clone)]
pub struct Container {
    pub id: String,
    pub sandbox_id: String,
    pub name: String,
    pub attempt: u32,
    pub state: State,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub exit_code: i32,
    pub reason: String,
    pub message: String,
    pub image: String,
    pub image_ref: String,
    pub hash: String,
}

impl Observed {
    /// The sandbox that containers are started in.
    pub fn ready_sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.iter().find(|sandbox| sandbox.is_ready)
    }

    /// The newest attempt of this name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The newest attempt that ended before the one that `container` answers.
    pub fn previous(&self, name: &str) -> Option<&Container> {
        let older = self.containers.iter().filter(|container| container.name == name).skip(1);
        older.into_iter().find(|container| container.state == State::Exited)
    }

    /// Containers that hold the pod: running, or about to be.
    pub fn alive(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|c| matches!(c.state, State::Running | State::Unknown))
    }
}

/// Asks the runtime.
pub async fn observe(runtime: &dyn Runtime, pod_uid: &str) -> Result<Observed> {
    let mut observed = Observed::default();
    for listed in runtime.list_sandboxes(Some(pod_uid)).await? {
        match runtime.sandbox_status(&listed.id).await {
            Ok(status) => observed.sandboxes.push(sandbox(status)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    for listed in runtime.list_containers(Some(pod_uid)).await? {
        match runtime.container_status(&listed.id).await {
            Ok(status) => observed.containers.push(container(listed.pod_sandbox_id, status)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    observed.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse(sandbox.attempt));
    observed.containers.sort_by_key(|container| std::cmp::Reverse((container.attempt, container.created_at)));
    Ok(observed)
}

fn sandbox(status: api::PodSandboxStatus) -> Sandbox {
    let network = status.network.clone().unwrap_or_default();
    let others = network.additional_ips.into_iter().map(|ip| ip.ip);
    Sandbox {
        is_ready: status.state() == api::PodSandboxState::SandboxReady,
        attempt: status.metadata.map(|m| m.attempt).unwrap_or_default(),
        ips: std::iter::once(network.ip).chain(others).filter(|ip| !ip.is_empty()).collect(),
        id: status.id,
    }
}

fn container(sandbox_id: String, status: api::ContainerStatus) -> Container {
    let state = match status.state() {
        api::ContainerState::ContainerCreated => State::Created,
        api::ContainerState::ContainerRunning => State::Running,
        api::ContainerState::ContainerExited => State::Exited,
        api::ContainerState::ContainerUnknown => State::Unknown,
    };
    let message = match state {
        State::Exited => termination_message::read(&status),
        State::Created | State::Running | State::Unknown => status.message.clone(),
    };
    let metadata = status.metadata.clone().unwrap_or_default();
    let name = status.labels.get(label::CONTAINER_NAME).cloned().unwrap_or(metadata.name);
    Container {
        name,
        attempt: metadata.attempt,
        state,
        created_at: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        started_at: time(status.started_at),
        finished_at: time(status.finished_at),
        exit_code: status.exit_code,
        message,
        image: status.image.clone().map(|image| image.image).unwrap_or_default(),
        hash: status.annotations.get(label::CONTAINER_HASH).cloned().unwrap_or_default(),
        reason: status.reason,
        image_ref: status.image_ref,
        id: status.id,
        sandbox_id,
    }
}

/// Zero and below mean "not yet": Go's zero time arrives as a negative number.
fn time(nanos: i64) -> Option<Timestamp> {
    if nanos <= 0 {
        return None;
    }
    Timestamp::from_nanosecond(i128::from(nanos)).ok()
}
