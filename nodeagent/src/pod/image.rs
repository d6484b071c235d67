//! Images for containers: present, or pulled by policy, with back-off.

use std::sync::Arc;
use std::time::Instant;

use balsa_proto::client::ObjectKey;
use balsa_proto::cri as api;
use base64::Engine as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::backoff::BackoffTable;
use super::facts;
use crate::api_link::ApiLink;
use crate::event::{Level, Recorder};
use crate::limits;
use crate::runtime::Runtime;

/// Why a container has no image; the reason and message of its waiting state.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Refused {
    pub reason: &'static str,
    pub message: String,
    /// When to try again.
    pub until: Option<Timestamp>,
}

/// Shared by all pods: pulls are few at once, and failures are remembered per pod and image.
pub struct Images {
    runtime: Arc<dyn Runtime>,
    link: Arc<dyn ApiLink>,
    events: Recorder,
    slots: Semaphore,
    failures: Mutex<Failures>,
}

struct Failures {
    table: BackoffTable,
    last: std::collections::HashMap<String, Timestamp>,
}

impl Images {
    pub fn new(runtime: Arc<dyn Runtime>, link: Arc<dyn ApiLink>, events: Recorder) -> Self {
        let failures =
            Failures { table: BackoffTable::new(limits::IMAGE_PULL_BACKOFF), last: Default::default() };
        Self {
            runtime,
            link,
            events,
            slots: Semaphore::new(limits::PARALLEL_PULLS),
            failures: Mutex::new(failures),
        }
    }

    /// The image as the runtime knows it.
    pub async fn ensure(
        &self,
        pod: &Pod,
        container: &Container,
        sandbox: &api::PodSandboxConfig,
    ) -> Result<api::Image, Refused> {
        let named = container.image.as_deref().unwrap_or_default();
        let image = with_tag(named);
        let policy = policy(container, &image);
        let present = self.runtime.image_status(&image).await.map_err(|error| {
            let message = format!("Failed to inspect image \"{named}\": {error}");
            self.warn(pod, container, "InspectFailed", &message);
            Refused { reason: "ImageInspectError", message, until: None }
        })?;
        match (present, policy) {
            (Some(found), "IfNotPresent" | "Never") => {
                let message = format!(
                    "Container image \"{named}\" already present on machine and can be accessed by the pod"
                );
                self.events.container(pod, &container.name, Level::Normal, "Pulled", message);
                Ok(found)
            }
            (None, "Never") => {
                let message = format!("Container image \"{named}\" is not present with pull policy of Never");
                self.warn(pod, container, "ErrImageNeverPull", &message);
                Err(Refused { reason: "ErrImageNeverPull", message, until: None })
            }
            (Some(_) | None, _) => self.pull(pod, container, &image, sandbox).await,
        }
    }

    fn warn(&self, pod: &Pod, container: &Container, reason: &'static str, message: &str) {
        self.events.container(pod, &container.name, Level::Warning, reason, message);
    }

    async fn pull(
        &self,
        pod: &Pod,
        container: &Container,
        image: &str,
        sandbox: &api::PodSandboxConfig,
    ) -> Result<api::Image, Refused> {
        let named = container.image.as_deref().unwrap_or_default();
        let key = format!("{}_{image}", facts::uid(pod));
        if let Some(until) = self.failures.lock().due(&key, Timestamp::now()) {
            let message = format!("Back-off pulling image \"{named}\"");
            self.events.container(pod, &container.name, Level::Normal, "BackOff", message.clone());
            return Err(Refused { reason: "ImagePullBackOff", message, until: Some(until) });
        }
        let pulling = format!("Pulling image \"{named}\"");
        self.events.container(pod, &container.name, Level::Normal, "Pulling", pulling);
        let waited = Instant::now();
        let slot = self.slots.acquire().await;
        let started = Instant::now();
        let pulled = self.try_pull(pod, image, sandbox).await;
        drop(slot);
        match pulled {
            Ok(found) => {
                let message = format!(
                    "Successfully pulled image \"{named}\" in {} ({} including waiting). Image size: {} bytes.",
                    millis(started.elapsed()),
                    millis(waited.elapsed()),
                    found.size
                );
                self.events.container(pod, &container.name, Level::Normal, "Pulled", message);
                self.failures.lock().forget(&key);
                Ok(found)
            }
            Err(error) => {
                let until = self.failures.lock().count(&key, Timestamp::now());
                let message = format!("Failed to pull image \"{named}\": {error}");
                self.warn(pod, container, "Failed", &message);
                self.warn(pod, container, "Failed", "Error: ErrImagePull");
                Err(Refused { reason: "ErrImagePull", message: error.to_string(), until })
            }
        }
    }

    async fn try_pull(
        &self,
        pod: &Pod,
        image: &str,
        sandbox: &api::PodSandboxConfig,
    ) -> crate::runtime::Result<api::Image> {
        let auth = self.auth(pod, image).await;
        let reference = self.runtime.pull_image(image, auth, sandbox.clone()).await?;
        let found = self.runtime.image_status(&reference).await?;
        Ok(found.unwrap_or(api::Image { id: reference, ..Default::default() }))
    }

    /// The first pull secret that names the image's registry.
    async fn auth(&self, pod: &Pod, image: &str) -> Option<api::AuthConfig> {
        for reference in facts::spec(pod).image_pull_secrets.iter().flatten() {
            let key = ObjectKey::new(facts::namespace(pod), &reference.name);
            let Some(secret) = self.link.secret(&key).await else { continue };
            let data = secret.data.as_ref();
            let config =
                data.and_then(|data| data.get(".dockerconfigjson").or_else(|| data.get(".dockercfg")));
            if let Some(auth) = config.and_then(|config| auth_from(&config.0, image)) {
                return Some(auth);
            }
        }
        None
    }
}

impl Failures {
    fn due(&self, key: &str, now: Timestamp) -> Option<Timestamp> {
        let last = self.last.get(key)?;
        self.table.due(key, *last).filter(|due| *due > now)
    }

    fn count(&mut self, key: &str, now: Timestamp) -> Option<Timestamp> {
        self.table.next(key, now);
        self.last.insert(key.to_owned(), now);
        self.table.due(key, now)
    }

    fn forget(&mut self, key: &str) {
        self.table.forget(key);
        self.last.remove(key);
    }
}

fn millis(duration: std::time::Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis}ms"),
        millis => format!("{}.{:03}s", millis / 1000, millis % 1000),
    }
}

/// A name without tag and digest means `latest`.
pub fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || image.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

/// The API server fills the policy in; static pods may come without.
fn policy<'a>(container: &'a Container, image: &str) -> &'a str {
    match container.image_pull_policy.as_deref() {
        Some(policy) => policy,
        None if image.ends_with(":latest") => "Always",
        None => "IfNotPresent",
    }
}

/// A docker configuration names registries, with or without scheme and path; the longest match wins.
fn auth_from(config: &[u8], image: &str) -> Option<api::AuthConfig> {
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    let auths = config.get("auths").unwrap_or(&config).as_object()?;
    let bare = |server: &str| {
        let server = server.trim_start_matches("https://").trim_start_matches("http://");
        server.trim_end_matches("/v1/").trim_end_matches("/v2/").trim_end_matches('/').to_owned()
    };
    let matching = auths.iter().filter(|(server, _)| image.starts_with(&bare(server)));
    let (_, entry) = matching.max_by_key(|(server, _)| bare(server).len())?;
    let text = |name: &str| entry.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let (mut username, mut password) = (text("username"), text("password"));
    if username.is_empty()
        && let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(text("auth"))
        && let Some((user, pass)) = String::from_utf8_lossy(&decoded).split_once(':')
    {
        (username, password) = (user.to_owned(), pass.to_owned());
    }
    let identity_token = text("identitytoken");
    Some(api::AuthConfig { username, password, identity_token, ..Default::default() })
}
