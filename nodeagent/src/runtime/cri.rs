//! The runtime over a CRI v1 unix socket.
//!
//! One HTTP/2 connection, made at the first call and again after it broke. Every verb has a deadline, so that a hung
//! runtime shows as an error of the verb and not as a task that never ends.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use balsa_proto::cri as api;
use balsa_proto::cri::image_service_client::ImageServiceClient;
use balsa_proto::cri::runtime_service_client::RuntimeServiceClient;
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::{Error, Result, Runtime, Streams, label};
use crate::limits;

/// A cheap handle: clones share the connection.
#[derive(Clone)]
pub struct Cri {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

impl Cri {
    /// `socket` is a path, with or without `unix://`. Does not connect yet.
    pub fn new(socket: &Path) -> Self {
        let channel = channel(strip_scheme(socket));
        let max = limits::CRI_MESSAGE_BYTES;
        Self {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(max),
            images: ImageServiceClient::new(channel).max_decoding_message_size(max),
        }
    }
}

fn strip_scheme(socket: &Path) -> PathBuf {
    match socket.to_str().and_then(|text| text.strip_prefix("unix://")) {
        Some(path) => PathBuf::from(path),
        None => socket.to_path_buf(),
    }
}

fn channel(socket: PathBuf) -> Channel {
    // The authority is never resolved: the connector goes to the socket.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    }))
}

fn request<T>(message: T, deadline: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(deadline);
    request
}

fn failed(verb: &'static str) -> impl Fn(tonic::Status) -> Error {
    move |status| Error::new(verb, status.code(), status.message())
}

fn absent<T>(verb: &'static str) -> impl Fn() -> Result<T> {
    move || Err(Error::new(verb, tonic::Code::Internal, "the runtime answered without a body"))
}

/// Removing or stopping what is gone already is what was asked for.
fn gone_is_done(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

fn pod_selector(pod_uid: Option<&str>) -> HashMap<String, String> {
    pod_uid.map(|uid| (label::POD_UID.to_owned(), uid.to_owned())).into_iter().collect()
}

fn image_spec(image: &str) -> Option<api::ImageSpec> {
    Some(api::ImageSpec { image: image.to_owned(), ..Default::default() })
}

const CALL: Duration = limits::CRI_CALL;

/// CRI counts whole seconds; rounded up, because a grace of 4 s of which a moment has passed is not one of 3.
fn whole_seconds(time: Duration) -> i64 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[async_trait]
impl Runtime for Cri {
    async fn version(&self) -> Result<api::VersionResponse> {
        let message = api::VersionRequest { version: "v1".to_owned() };
        let answer = self.runtime.clone().version(request(message, CALL)).await;
        answer.map(|a| a.into_inner()).map_err(failed("Version"))
    }

    async fn status(&self) -> Result<Vec<api::RuntimeCondition>> {
        let answer = self.runtime.clone().status(request(api::StatusRequest::default(), CALL)).await;
        let status = answer.map_err(failed("Status"))?.into_inner().status;
        Ok(status.map(|s| s.conditions).unwrap_or_default())
    }

    async fn update_pod_cidr(&self, pod_cidr: &str) -> Result<()> {
        let network = api::NetworkConfig { pod_cidr: pod_cidr.to_owned() };
        let config = api::RuntimeConfig { network_config: Some(network) };
        let message = api::UpdateRuntimeConfigRequest { runtime_config: Some(config) };
        let answer = self.runtime.clone().update_runtime_config(request(message, CALL)).await;
        answer.map(|_| ()).map_err(failed("UpdateRuntimeConfig"))
    }

    async fn run_sandbox(&self, config: api::PodSandboxConfig, handler: &str) -> Result<String> {
        let message = api::RunPodSandboxRequest { config: Some(config), runtime_handler: handler.to_owned() };
        let answer = self.runtime.clone().run_pod_sandbox(request(message, limits::CRI_SANDBOX)).await;
        answer.map(|a| a.into_inner().pod_sandbox_id).map_err(failed("RunPodSandbox"))
    }

    async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let message = api::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        let answer = self.runtime.clone().stop_pod_sandbox(request(message, limits::CRI_SANDBOX)).await;
        gone_is_done(answer.map(|_| ()).map_err(failed("StopPodSandbox")))
    }

    async fn remove_sandbox(&self, id: &str) -> Result<()> {
        let message = api::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        let answer = self.runtime.clone().remove_pod_sandbox(request(message, CALL)).await;
        gone_is_done(answer.map(|_| ()).map_err(failed("RemovePodSandbox")))
    }

    async fn sandbox_status(&self, id: &str) -> Result<api::PodSandboxStatus> {
        let message = api::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        let answer = self.runtime.clone().pod_sandbox_status(request(message, CALL)).await;
        let status = answer.map_err(failed("PodSandboxStatus"))?.into_inner().status;
        status.map_or_else(absent("PodSandboxStatus"), Ok)
    }

    async fn list_sandboxes(&self, pod_uid: Option<&str>) -> Result<Vec<api::PodSandbox>> {
        let filter = api::PodSandboxFilter { label_selector: pod_selector(pod_uid), ..Default::default() };
        let message = api::ListPodSandboxRequest { filter: Some(filter) };
        let answer = self.runtime.clone().list_pod_sandbox(request(message, CALL)).await;
        answer.map(|a| a.into_inner().items).map_err(failed("ListPodSandbox"))
    }

    async fn create_container(
        &self,
        sandbox_id: &str,
        config: api::ContainerConfig,
        sandbox: api::PodSandboxConfig,
    ) -> Result<String> {
        let message = api::CreateContainerRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox),
        };
        let answer = self.runtime.clone().create_container(request(message, CALL)).await;
        answer.map(|a| a.into_inner().container_id).map_err(failed("CreateContainer"))
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        let message = api::StartContainerRequest { container_id: id.to_owned() };
        let answer = self.runtime.clone().start_container(request(message, CALL)).await;
        answer.map(|_| ()).map_err(failed("StartContainer"))
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<()> {
        let message =
            api::StopContainerRequest { container_id: id.to_owned(), timeout: whole_seconds(grace) };
        let answer = self.runtime.clone().stop_container(request(message, grace + CALL)).await;
        gone_is_done(answer.map(|_| ()).map_err(failed("StopContainer")))
    }

    async fn remove_container(&self, id: &str) -> Result<()> {
        let message = api::RemoveContainerRequest { container_id: id.to_owned() };
        let answer = self.runtime.clone().remove_container(request(message, CALL)).await;
        gone_is_done(answer.map(|_| ()).map_err(failed("RemoveContainer")))
    }

    async fn list_containers(&self, pod_uid: Option<&str>) -> Result<Vec<api::Container>> {
        let filter = api::ContainerFilter { label_selector: pod_selector(pod_uid), ..Default::default() };
        let message = api::ListContainersRequest { filter: Some(filter) };
        let answer = self.runtime.clone().list_containers(request(message, CALL)).await;
        answer.map(|a| a.into_inner().containers).map_err(failed("ListContainers"))
    }

    async fn container_status(&self, id: &str) -> Result<api::ContainerStatus> {
        let message = api::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        let answer = self.runtime.clone().container_status(request(message, CALL)).await;
        let status = answer.map_err(failed("ContainerStatus"))?.into_inner().status;
        status.map_or_else(absent("ContainerStatus"), Ok)
    }

    async fn reopen_log(&self, id: &str) -> Result<()> {
        let message = api::ReopenContainerLogRequest { container_id: id.to_owned() };
        let answer = self.runtime.clone().reopen_container_log(request(message, CALL)).await;
        answer.map(|_| ()).map_err(failed("ReopenContainerLog"))
    }

    async fn container_stats(&self) -> Result<Vec<api::ContainerStats>> {
        let message = api::ListContainerStatsRequest { filter: None };
        let answer = self.runtime.clone().list_container_stats(request(message, CALL)).await;
        answer.map(|a| a.into_inner().stats).map_err(failed("ListContainerStats"))
    }

    async fn exec_sync(
        &self,
        id: &str,
        command: &[String],
        timeout: Duration,
    ) -> Result<api::ExecSyncResponse> {
        let message = api::ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: command.to_vec(),
            timeout: whole_seconds(timeout),
        };
        let deadline = if timeout.is_zero() { limits::EXEC_WITHOUT_TIMEOUT } else { timeout + CALL };
        let answer = self.runtime.clone().exec_sync(request(message, deadline)).await;
        answer.map(|a| a.into_inner()).map_err(failed("ExecSync"))
    }

    async fn exec_url(&self, id: &str, command: Vec<String>, streams: Streams) -> Result<String> {
        let Streams { stdin, stdout, stderr, tty } = streams;
        let message =
            api::ExecRequest { container_id: id.to_owned(), cmd: command, tty, stdin, stdout, stderr };
        let answer = self.runtime.clone().exec(request(message, CALL)).await;
        answer.map(|a| a.into_inner().url).map_err(failed("Exec"))
    }

    async fn attach_url(&self, id: &str, streams: Streams) -> Result<String> {
        let Streams { stdin, stdout, stderr, tty } = streams;
        let message = api::AttachRequest { container_id: id.to_owned(), stdin, tty, stdout, stderr };
        let answer = self.runtime.clone().attach(request(message, CALL)).await;
        answer.map(|a| a.into_inner().url).map_err(failed("Attach"))
    }

    async fn port_forward_url(&self, sandbox_id: &str, ports: Vec<i32>) -> Result<String> {
        let message = api::PortForwardRequest { pod_sandbox_id: sandbox_id.to_owned(), port: ports };
        let answer = self.runtime.clone().port_forward(request(message, CALL)).await;
        answer.map(|a| a.into_inner().url).map_err(failed("PortForward"))
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<api::ContainerEventResponse>>> {
        let answer = self.runtime.clone().get_container_events(api::GetEventsRequest {}).await;
        let stream = answer.map_err(failed("GetContainerEvents"))?.into_inner();
        Ok(stream.map(|item| item.map_err(failed("GetContainerEvents"))).boxed())
    }

    async fn image_status(&self, image: &str) -> Result<Option<api::Image>> {
        let message = api::ImageStatusRequest { image: image_spec(image), verbose: false };
        let answer = self.images.clone().image_status(request(message, CALL)).await;
        answer.map(|a| a.into_inner().image).map_err(failed("ImageStatus"))
    }

    async fn list_images(&self) -> Result<Vec<api::Image>> {
        let message = api::ListImagesRequest { filter: None };
        let answer = self.images.clone().list_images(request(message, CALL)).await;
        answer.map(|a| a.into_inner().images).map_err(failed("ListImages"))
    }

    async fn pull_image(
        &self,
        image: &str,
        auth: Option<api::AuthConfig>,
        sandbox: api::PodSandboxConfig,
    ) -> Result<String> {
        let message = api::PullImageRequest { image: image_spec(image), auth, sandbox_config: Some(sandbox) };
        let answer = self.images.clone().pull_image(request(message, limits::IMAGE_PULL)).await;
        answer.map(|a| a.into_inner().image_ref).map_err(failed("PullImage"))
    }

    async fn remove_image(&self, image: &str) -> Result<()> {
        let message = api::RemoveImageRequest { image: image_spec(image) };
        let answer = self.images.clone().remove_image(request(message, CALL)).await;
        answer.map(|_| ()).map_err(failed("RemoveImage"))
    }

    async fn image_fs_used_bytes(&self) -> Result<u64> {
        let answer = self.images.clone().image_fs_info(request(api::ImageFsInfoRequest {}, CALL)).await;
        let systems = answer.map_err(failed("ImageFsInfo"))?.into_inner().image_filesystems;
        Ok(systems.iter().filter_map(|fs| fs.used_bytes.as_ref()).map(|used| used.value).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_is_never_cut_short() {
        assert_eq!([0, 1, 3999, 4000].map(|ms| whole_seconds(Duration::from_millis(ms))), [0, 1, 4, 4]);
    }
}
