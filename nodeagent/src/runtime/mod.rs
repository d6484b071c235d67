//! The container runtime: the CRI verbs that the agent uses, as a trait with a fake for tests.
//!
//! | file | what |
//! |---|---|
//! | [`cri`] | the trait over a CRI v1 socket: containerd, CRI-O |
//! | [`fake`] | the trait in memory |
//! | [`containerd`] | containerd as a supervised child, with its own root, state and socket |
//! | [`archive`] | image archives made here: one layer, one static program |
//! | [`carried`] | images that come with us: the sandbox image, and archives in a folder |
//!
//! Contract: verbs are idempotent where CRI says so (stop and remove of something unknown succeed). A verb that the
//! runtime does not have answers [`Error::is_unimplemented`]. All times are nanoseconds since the epoch, as on the wire.

pub mod archive;
pub mod carried;
pub mod containerd;
pub mod cri;
pub mod fake;

use std::time::Duration;

use async_trait::async_trait;
use balsa_proto::cri as api;
use futures::stream::BoxStream;

/// What a failed verb says, with the words of the runtime.
#[derive(Debug, Clone, thiserror::Error)]
#[error("rpc error: code = {code:?} desc = {message}")]
pub struct Error {
    pub verb: &'static str,
    pub code: tonic::Code,
    pub message: String,
}

impl Error {
    pub fn new(verb: &'static str, code: tonic::Code, message: impl Into<String>) -> Self {
        Self { verb, code, message: message.into() }
    }

    pub fn is_not_found(&self) -> bool {
        self.code == tonic::Code::NotFound
    }

    pub fn is_unimplemented(&self) -> bool {
        self.code == tonic::Code::Unimplemented
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// Which streams an exec or attach wants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    async fn version(&self) -> Result<api::VersionResponse>;
    async fn status(&self) -> Result<Vec<api::RuntimeCondition>>;
    async fn update_pod_cidr(&self, pod_cidr: &str) -> Result<()>;

    async fn run_sandbox(&self, config: api::PodSandboxConfig, handler: &str) -> Result<String>;
    async fn stop_sandbox(&self, id: &str) -> Result<()>;
    async fn remove_sandbox(&self, id: &str) -> Result<()>;
    async fn sandbox_status(&self, id: &str) -> Result<api::PodSandboxStatus>;
    /// With a pod uid: that pod's; without: all.
    async fn list_sandboxes(&self, pod_uid: Option<&str>) -> Result<Vec<api::PodSandbox>>;

    async fn create_container(
        &self,
        sandbox_id: &str,
        config: api::ContainerConfig,
        sandbox: api::PodSandboxConfig,
    ) -> Result<String>;
    async fn start_container(&self, id: &str) -> Result<()>;
    /// SIGTERM (or the image's stop signal), then SIGKILL after `grace`. Returns when it is dead.
    async fn stop_container(&self, id: &str, grace: Duration) -> Result<()>;
    async fn remove_container(&self, id: &str) -> Result<()>;
    async fn list_containers(&self, pod_uid: Option<&str>) -> Result<Vec<api::Container>>;
    async fn container_status(&self, id: &str) -> Result<api::ContainerStatus>;
    async fn reopen_log(&self, id: &str) -> Result<()>;
    async fn container_stats(&self) -> Result<Vec<api::ContainerStats>>;

    /// `timeout` zero: no limit. A command that overran it answers `DeadlineExceeded`.
    async fn exec_sync(
        &self,
        id: &str,
        command: &[String],
        timeout: Duration,
    ) -> Result<api::ExecSyncResponse>;
    async fn exec_url(&self, id: &str, command: Vec<String>, streams: Streams) -> Result<String>;
    async fn attach_url(&self, id: &str, streams: Streams) -> Result<String>;
    async fn port_forward_url(&self, sandbox_id: &str, ports: Vec<i32>) -> Result<String>;

    async fn events(&self) -> Result<BoxStream<'static, Result<api::ContainerEventResponse>>>;

    async fn image_status(&self, image: &str) -> Result<Option<api::Image>>;
    async fn list_images(&self) -> Result<Vec<api::Image>>;
    async fn pull_image(
        &self,
        image: &str,
        auth: Option<api::AuthConfig>,
        sandbox: api::PodSandboxConfig,
    ) -> Result<String>;
    async fn remove_image(&self, image: &str) -> Result<()>;
    async fn image_fs_used_bytes(&self) -> Result<u64>;
}

/// Labels and annotations that the stock kubelet puts on sandboxes and containers; tools read them.
pub mod label {
    pub const POD_NAME: &str = "io.kubernetes.pod.name";
    pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    pub const POD_UID: &str = "io.kubernetes.pod.uid";
    pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
    pub const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
    pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
    pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
    pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
    pub const POD_GRACE_SECONDS: &str = "io.kubernetes.pod.terminationGracePeriod";
}
