//! A runtime in memory: sandboxes and containers that "run" until a test says otherwise.
//!
//! Ids count up, so that a test's expectations are stable. `exit` ends a container; `fail` makes the next call of a
//! verb fail; `calls` lists the changing verbs in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use balsa_proto::cri as api;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tonic::Code;

use super::{Error, Result, Runtime, Streams, label};

#[derive(Clone, Default)]
pub struct Fake {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    sandboxes: BTreeMap<String, api::PodSandboxStatus>,
    containers: BTreeMap<String, Held>,
    images: Vec<String>,
    failures: HashMap<&'static str, Error>,
    calls: Vec<String>,
    exec_exit_code: i32,
    hangs: bool,
}

struct Held {
    sandbox_id: String,
    status: api::ContainerStatus,
}

impl Fake {
    /// The next call of `verb` (a CRI name such as `RunPodSandbox`) fails.
    pub fn fail(&self, verb: &'static str, message: &str) {
        self.state.lock().failures.insert(verb, Error::new(verb, Code::Unknown, message));
    }

    /// The running container of this name ends.
    pub fn exit(&self, name: &str, exit_code: i32) {
        let mut state = self.state.lock();
        for held in state.containers.values_mut() {
            let is_named = held.status.metadata.as_ref().is_some_and(|m| m.name == name);
            if is_named && held.status.state() == api::ContainerState::ContainerRunning {
                finish(&mut held.status, exit_code);
            }
        }
    }

    /// Whether `Status` never answers.
    pub fn hang(&self, hangs: bool) {
        self.state.lock().hangs = hangs;
    }

    /// How commands end from now on.
    pub fn exec_ends_with(&self, exit_code: i32) {
        self.state.lock().exec_exit_code = exit_code;
    }

    /// Changing verbs so far, such as `start c2 web`.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().calls.clone()
    }
}

fn finish(status: &mut api::ContainerStatus, exit_code: i32) {
    status.set_state(api::ContainerState::ContainerExited);
    status.exit_code = exit_code;
    status.reason = if exit_code == 0 { "Completed" } else { "Error" }.to_owned();
    status.finished_at = now_nanos();
}

fn now_nanos() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

impl State {
    fn step(&mut self, verb: &'static str, call: Option<String>) -> Result<()> {
        if let Some(error) = self.failures.remove(verb) {
            return Err(error);
        }
        self.calls.extend(call);
        Ok(())
    }

    fn id(&mut self, letter: char) -> String {
        self.next_id += 1;
        format!("{letter}{}", self.next_id)
    }

    fn container(&mut self, id: &str) -> Result<&mut Held> {
        let missing = || Error::new("ContainerStatus", Code::NotFound, format!("container {id} not found"));
        self.containers.get_mut(id).ok_or_else(missing)
    }
}

fn belongs(labels: &HashMap<String, String>, pod_uid: Option<&str>) -> bool {
    pod_uid.is_none_or(|uid| labels.get(label::POD_UID).is_some_and(|have| have == uid))
}

fn no_streams(verb: &'static str) -> Error {
    Error::new(verb, Code::Unimplemented, "the fake runtime has no streams")
}

#[async_trait]
impl Runtime for Fake {
    async fn version(&self) -> Result<api::VersionResponse> {
        Ok(api::VersionResponse {
            runtime_name: "fake".to_owned(),
            runtime_version: "1".to_owned(),
            ..Default::default()
        })
    }

    async fn status(&self) -> Result<Vec<api::RuntimeCondition>> {
        let hangs = self.state.lock().hangs;
        if hangs {
            std::future::pending::<()>().await;
        }
        self.state.lock().step("Status", None)?;
        let ready = |kind: &str| api::RuntimeCondition {
            r#type: kind.to_owned(),
            status: true,
            ..Default::default()
        };
        Ok(vec![ready("RuntimeReady"), ready("NetworkReady")])
    }

    async fn update_pod_cidr(&self, _pod_cidr: &str) -> Result<()> {
        Ok(())
    }

    async fn run_sandbox(&self, config: api::PodSandboxConfig, _handler: &str) -> Result<String> {
        let mut state = self.state.lock();
        state.step("RunPodSandbox", None)?;
        let id = state.id('s');
        state.calls.push(format!("sandbox {id}"));
        let address = format!("10.0.0.{}", state.next_id);
        let status = api::PodSandboxStatus {
            id: id.clone(),
            metadata: config.metadata,
            created_at: now_nanos(),
            network: Some(api::PodSandboxNetworkStatus { ip: address, ..Default::default() }),
            labels: config.labels,
            annotations: config.annotations,
            ..Default::default()
        };
        state.sandboxes.insert(id.clone(), status);
        Ok(id)
    }

    async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.step("StopPodSandbox", Some(format!("stop-sandbox {id}")))?;
        if let Some(sandbox) = state.sandboxes.get_mut(id) {
            sandbox.set_state(api::PodSandboxState::SandboxNotready);
        }
        for held in state.containers.values_mut().filter(|held| held.sandbox_id == id) {
            if held.status.state() == api::ContainerState::ContainerRunning {
                finish(&mut held.status, 137);
            }
        }
        Ok(())
    }

    async fn remove_sandbox(&self, id: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.step("RemovePodSandbox", Some(format!("remove-sandbox {id}")))?;
        state.sandboxes.remove(id);
        state.containers.retain(|_, held| held.sandbox_id != id);
        Ok(())
    }

    async fn sandbox_status(&self, id: &str) -> Result<api::PodSandboxStatus> {
        let state = self.state.lock();
        let missing = || Error::new("PodSandboxStatus", Code::NotFound, format!("sandbox {id} not found"));
        state.sandboxes.get(id).cloned().ok_or_else(missing)
    }

    async fn list_sandboxes(&self, pod_uid: Option<&str>) -> Result<Vec<api::PodSandbox>> {
        let state = self.state.lock();
        let listed = state.sandboxes.values().filter(|s| belongs(&s.labels, pod_uid));
        Ok(listed
            .map(|s| api::PodSandbox {
                id: s.id.clone(),
                metadata: s.metadata.clone(),
                state: s.state,
                created_at: s.created_at,
                labels: s.labels.clone(),
                annotations: s.annotations.clone(),
                runtime_handler: String::new(),
            })
            .collect())
    }

    async fn create_container(
        &self,
        sandbox_id: &str,
        config: api::ContainerConfig,
        _sandbox: api::PodSandboxConfig,
    ) -> Result<String> {
        let mut state = self.state.lock();
        state.step("CreateContainer", None)?;
        let id = state.id('c');
        let image = config.image.clone().unwrap_or_default();
        let status = api::ContainerStatus {
            id: id.clone(),
            metadata: config.metadata,
            created_at: now_nanos(),
            image_ref: image.image.clone(),
            image: Some(image),
            labels: config.labels,
            annotations: config.annotations,
            mounts: config.mounts,
            ..Default::default()
        };
        state.containers.insert(id.clone(), Held { sandbox_id: sandbox_id.to_owned(), status });
        Ok(id)
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.step("StartContainer", None)?;
        let held = state.container(id)?;
        held.status.set_state(api::ContainerState::ContainerRunning);
        held.status.started_at = now_nanos();
        let name = held.status.metadata.as_ref().map(|m| m.name.clone()).unwrap_or_default();
        state.calls.push(format!("start {id} {name}"));
        Ok(())
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<()> {
        let mut state = self.state.lock();
        state.step("StopContainer", Some(format!("stop {id} {}s", grace.as_secs())))?;
        let held = state.container(id)?;
        if held.status.state() == api::ContainerState::ContainerRunning {
            finish(&mut held.status, 143);
        }
        Ok(())
    }

    async fn remove_container(&self, id: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.step("RemoveContainer", Some(format!("remove {id}")))?;
        state.containers.remove(id);
        Ok(())
    }

    async fn list_containers(&self, pod_uid: Option<&str>) -> Result<Vec<api::Container>> {
        let state = self.state.lock();
        let listed = state.containers.values().filter(|held| belongs(&held.status.labels, pod_uid));
        Ok(listed
            .map(|held| api::Container {
                id: held.status.id.clone(),
                pod_sandbox_id: held.sandbox_id.clone(),
                metadata: held.status.metadata.clone(),
                image: held.status.image.clone(),
                image_ref: held.status.image_ref.clone(),
                state: held.status.state,
                created_at: held.status.created_at,
                labels: held.status.labels.clone(),
                annotations: held.status.annotations.clone(),
            })
            .collect())
    }

    async fn container_status(&self, id: &str) -> Result<api::ContainerStatus> {
        Ok(self.state.lock().container(id)?.status.clone())
    }

    async fn reopen_log(&self, _id: &str) -> Result<()> {
        self.state.lock().step("ReopenContainerLog", None)
    }

    async fn container_stats(&self) -> Result<Vec<api::ContainerStats>> {
        Ok(Vec::new())
    }

    async fn exec_sync(
        &self,
        id: &str,
        command: &[String],
        _timeout: Duration,
    ) -> Result<api::ExecSyncResponse> {
        let mut state = self.state.lock();
        state.step("ExecSync", Some(format!("exec {id} {}", command.join(" "))))?;
        Ok(api::ExecSyncResponse { exit_code: state.exec_exit_code, ..Default::default() })
    }

    async fn exec_url(&self, _id: &str, _command: Vec<String>, _streams: Streams) -> Result<String> {
        Err(no_streams("Exec"))
    }

    async fn attach_url(&self, _id: &str, _streams: Streams) -> Result<String> {
        Err(no_streams("Attach"))
    }

    async fn port_forward_url(&self, _sandbox_id: &str, _ports: Vec<i32>) -> Result<String> {
        Err(no_streams("PortForward"))
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<api::ContainerEventResponse>>> {
        Err(Error::new("GetContainerEvents", Code::Unimplemented, "the fake runtime has no events"))
    }

    async fn image_status(&self, image: &str) -> Result<Option<api::Image>> {
        let mut state = self.state.lock();
        state.step("ImageStatus", None)?;
        let found = state.images.iter().find(|have| *have == image);
        Ok(found.map(|image| api::Image { id: image.clone(), ..Default::default() }))
    }

    async fn list_images(&self) -> Result<Vec<api::Image>> {
        let state = self.state.lock();
        let image = |name: &String| api::Image { repo_tags: vec![name.clone()], ..Default::default() };
        Ok(state.images.iter().map(image).collect())
    }

    async fn pull_image(
        &self,
        image: &str,
        _auth: Option<api::AuthConfig>,
        _sandbox: api::PodSandboxConfig,
    ) -> Result<String> {
        let mut state = self.state.lock();
        state.step("PullImage", Some(format!("pull {image}")))?;
        state.images.push(image.to_owned());
        Ok(image.to_owned())
    }

    async fn remove_image(&self, image: &str) -> Result<()> {
        self.state.lock().images.retain(|have| have != image);
        Ok(())
    }

    async fn image_fs_used_bytes(&self) -> Result<u64> {
        Ok(0)
    }
}
