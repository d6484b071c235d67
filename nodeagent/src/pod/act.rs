//! Executing a plan: the only code that changes a pod's sandbox, containers and volumes.
//!
//! A step that fails leaves a hold with the reason that the status shows, and ends the round: the next plan decides.

use std::collections::BTreeMap;
use std::path::Path;

use balsa_proto::cri as api;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Container as Spec;
use tracing::{info, warn};

use super::container_config::{self, ContainerInput};
use super::env::{self, EnvInput};
use super::kill::Kill;
use super::observed::{Observed, Sandbox};
use super::plan::{Hold, KillReason, RuntimeOp, SANDBOX, VOLUMES};
use super::sandbox_config::{self, SandboxInput};
use super::worker::Worker;
use super::{facts, hooks, hosts, resources};
use crate::event::Level;

/// Why a container did not start.
struct NotStarted {
    reason: &'static str,
    message: String,
    until: Option<Timestamp>,
}

impl NotStarted {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), until: None }
    }
}

/// The pause after a failed start, when nothing better is known: the stock worker's back-off period.
const START_RETRY: SignedDuration = SignedDuration::from_secs(10);

impl Worker {
    /// True when the pod has ended here. A deletion of the pod breaks the round off.
    pub(super) async fn act_interruptibly(&mut self, ops: Vec<RuntimeOp>, observed: &Observed) -> bool {
        let mut desired = self.desired.clone();
        let ends = self.memory.is_removed || self.pod.metadata.deletion_timestamp.is_some();
        let deleted = async move {
            let is_end =
                |d: &super::worker::Desired| d.is_removed || d.pod.metadata.deletion_timestamp.is_some();
            let dispatcher_is_gone = desired.wait_for(is_end).await.is_err();
            if dispatcher_is_gone {
                // The shutdown token ends this task.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            is_finished = self.act(ops, observed) => is_finished,
            () = deleted, if !ends => false,
        }
    }

    async fn act(&mut self, ops: Vec<RuntimeOp>, observed: &Observed) -> bool {
        for op in ops {
            let went_well = match op {
                RuntimeOp::MountVolumes => self.mount_volumes().await,
                RuntimeOp::CreateSandbox { attempt } => self.create_sandbox(attempt).await,
                RuntimeOp::StopSandbox { id } => self.stop_sandbox(&id).await,
                RuntimeOp::StartContainer { name, attempt, previous_end } => {
                    self.start(&name, attempt, previous_end, observed).await
                }
                RuntimeOp::KillContainer { id, name, grace_seconds, reason } => {
                    self.kill(observed, id, name, grace_seconds, reason);
                    true
                }
                RuntimeOp::RemoveContainer { id } => self.remove_container(&id).await,
                RuntimeOp::Finish => return self.finish(observed).await,
            };
            if !went_well {
                return false;
            }
        }
        false
    }

    fn hold(&mut self, step: &str, reason: &str, message: String, until: Timestamp) {
        let hold = Hold { until, reason: reason.to_owned(), message };
        self.memory.holds.insert(step.to_owned(), hold);
    }

    /// Holds a step with a doubling pause.
    fn back_off(&mut self, step: &str, reason: &str, message: String) {
        let now = Timestamp::now();
        self.retries.next(step, now);
        let until = self.retries.due(step, now).unwrap_or(now);
        self.hold(step, reason, message, until);
    }

    fn went_well(&mut self, step: &str) -> bool {
        self.retries.forget(step);
        self.memory.holds.remove(step);
        true
    }

    async fn mount_volumes(&mut self) -> bool {
        let uid = facts::uid(&self.pod).to_owned();
        let pod_dir = self.shared.paths.pod(&uid);
        if let Err(error) = std::fs::create_dir_all(&pod_dir) {
            self.back_off(VOLUMES, "FailedMount", format!("create {}: {error}", pod_dir.display()));
            return false;
        }
        match self.shared.volumes.mount(&self.pod, &[]).await {
            Ok(mounted) => {
                self.mounted = mounted;
                self.memory.volumes_mounted = true;
                self.went_well(VOLUMES)
            }
            Err(error) => {
                let message = error.to_string();
                self.event(Level::Warning, "FailedMount", message.clone());
                self.back_off(VOLUMES, "FailedMount", message);
                false
            }
        }
    }

    fn cgroup_parent(&self) -> String {
        match self.shared.cgroups.is_writable() {
            true => resources::cgroup_parent(&self.pod),
            false => String::new(),
        }
    }

    pub(super) fn sandbox_config(&self, attempt: u32) -> api::PodSandboxConfig {
        sandbox_config::build(&SandboxInput {
            pod: &self.pod,
            attempt,
            dns: &self.shared.dns,
            paths: &self.shared.paths,
            cgroup_parent: self.cgroup_parent(),
        })
    }

    async fn create_sandbox(&mut self, attempt: u32) -> bool {
        match self.try_create_sandbox(attempt).await {
            Ok(id) => {
                info!(pod = %facts::key(&self.pod), sandbox = %id, "sandbox runs");
                self.went_well(SANDBOX)
            }
            Err(message) => {
                let message = format!("Failed to create pod sandbox: {message}");
                self.event(Level::Warning, "FailedCreatePodSandBox", message.clone());
                self.back_off(SANDBOX, "FailedCreatePodSandBox", message);
                false
            }
        }
    }

    async fn try_create_sandbox(&self, attempt: u32) -> Result<String, String> {
        if facts::spec(&self.pod).host_users == Some(false) {
            let sentence =
                "can't set `spec.hostUsers: false`, this node agent does not support user namespaces";
            return Err(sentence.to_owned());
        }
        let logs = self.shared.paths.logs(&self.pod);
        std::fs::create_dir_all(&logs).map_err(|error| format!("create {}: {error}", logs.display()))?;
        let parent = self.cgroup_parent();
        if !parent.is_empty() {
            let limits = resources::pod_limits(&self.pod, self.shared.resources);
            let made = self.shared.cgroups.ensure_pod(&parent, &limits);
            made.map_err(|error| format!("cgroup {parent}: {error}"))?;
        }
        let handler = facts::spec(&self.pod).runtime_class_name.clone().unwrap_or_default();
        let slot = self.shared.sandbox_slots.acquire().await.map_err(|error| error.to_string())?;
        let created = self.shared.runtime.run_sandbox(self.sandbox_config(attempt), &handler).await;
        drop(slot);
        created.map_err(|error| error.to_string())
    }

    async fn stop_sandbox(&mut self, id: &str) -> bool {
        match self.shared.runtime.stop_sandbox(id).await {
            Ok(()) => self.went_well(SANDBOX),
            Err(error) => {
                let message = format!("error killing pod: failed to \"KillPodSandbox\": {error}");
                self.event(Level::Warning, "FailedKillPod", message.clone());
                self.back_off(SANDBOX, "FailedKillPod", message);
                // The plan has no hold for stopping: pausing here keeps it from a hot loop.
                tokio::time::sleep(crate::limits::RELIST).await;
                false
            }
        }
    }

    async fn remove_container(&mut self, id: &str) -> bool {
        if let Err(error) = self.shared.runtime.remove_container(id).await {
            warn!(pod = %facts::key(&self.pod), id, %error, "old container not removed");
            return false;
        }
        true
    }

    fn kill(
        &mut self,
        observed: &Observed,
        id: String,
        name: String,
        grace_seconds: i64,
        reason: KillReason,
    ) {
        let kill = Kill {
            runtime: self.shared.runtime.clone(),
            events: self.shared.events.clone(),
            pod: self.pod.clone(),
            pod_ip: self.pod_ip(observed),
            container_id: id,
            name,
            grace_seconds,
            reason,
        };
        self.start_kill(kill);
    }

    async fn start(
        &mut self,
        name: &str,
        attempt: u32,
        previous_end: Option<Timestamp>,
        observed: &Observed,
    ) -> bool {
        let pod = self.pod.clone();
        let (Some(spec), Some(sandbox)) = (facts::find_container(&pod, name), observed.ready_sandbox())
        else {
            return false;
        };
        // Of the first one that the runtime knows.
        let attempt = if attempt == 0 { self.shared.paths.next_log_attempt(&pod, name) } else { attempt };
        match self.try_start(&spec, attempt, sandbox, observed).await {
            Ok(()) => {
                // Counted only when it was really tried, so that a failing pull does not use up the crash loop.
                if let Some(ended) = previous_end {
                    self.memory.crash_loop.next(name, ended);
                }
                self.went_well(name)
            }
            Err(failure) => {
                if let Some(ended) = previous_end {
                    self.memory.crash_loop.next(name, ended);
                }
                let until = failure.until.unwrap_or_else(|| Timestamp::now() + START_RETRY);
                self.hold(name, failure.reason, failure.message, until);
                // Other containers of the pod get their turn all the same.
                true
            }
        }
    }

    async fn try_start(
        &self,
        spec: &Spec,
        attempt: u32,
        sandbox: &Sandbox,
        observed: &Observed,
    ) -> Result<(), NotStarted> {
        let shared = &self.shared;
        let sandbox_config = self.sandbox_config(sandbox.attempt);
        let image = shared.images.ensure(&self.pod, spec, &sandbox_config).await.map_err(|refused| {
            NotStarted { reason: refused.reason, message: refused.message, until: refused.until }
        })?;
        let failed = |reason: &'static str, message: String| {
            shared.events.container(
                &self.pod,
                &spec.name,
                Level::Warning,
                "Failed",
                format!("Error: {message}"),
            );
            NotStarted::new(reason, message)
        };
        let config = self.container_config(spec, attempt, sandbox, &image, observed).await;
        let config = config.map_err(|message| failed("CreateContainerConfigError", message))?;
        let slot = shared.start_slots.acquire().await;
        let created = shared.runtime.create_container(&sandbox.id, config, sandbox_config).await;
        let id = created.map_err(|error| failed("CreateContainerError", error.message))?;
        shared.events.container(&self.pod, &spec.name, Level::Normal, "Created", "Container created");
        let started = shared.runtime.start_container(&id).await;
        drop(slot);
        started.map_err(|error| failed("RunContainerError", error.message))?;
        shared.events.container(&self.pod, &spec.name, Level::Normal, "Started", "Container started");
        self.post_start(spec, &id, observed).await
    }

    async fn post_start(&self, spec: &Spec, id: &str, observed: &Observed) -> Result<(), NotStarted> {
        let Some(handler) = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref())
        else {
            return Ok(());
        };
        let runtime = self.shared.runtime.as_ref();
        let Err(error) = hooks::run(runtime, handler, spec, id, &self.pod_ip(observed)).await else {
            return Ok(());
        };
        let message = format!("PostStartHook failed: {error}");
        let events = &self.shared.events;
        events.container(&self.pod, &spec.name, Level::Warning, "FailedPostStartHook", message.clone());
        let grace = crate::limits::LEAST_GRACE;
        if let Err(error) = runtime.stop_container(id, grace).await {
            warn!(id, %error, "container with a failed postStart hook not stopped");
        }
        Err(NotStarted { reason: "PostStartHookError", message, until: Some(Timestamp::now()) })
    }

    async fn container_config(
        &self,
        spec: &Spec,
        attempt: u32,
        sandbox: &Sandbox,
        image: &api::Image,
        observed: &Observed,
    ) -> Result<api::ContainerConfig, String> {
        let shared = &self.shared;
        let target = match facts::target_container(&self.pod, &spec.name) {
            Some(name) => {
                let running = observed.alive().find(|container| container.name == name);
                Some(running.ok_or_else(|| format!("unable to find target container {name}"))?.id.as_str())
            }
            None => None,
        };
        let image_uid = image.uid.as_ref().map(|uid| uid.value);
        let refused = container_config::root_refused(&self.pod, spec, image_uid, &image.username);
        if let Some(sentence) = refused {
            return Err(sentence);
        }
        let input = EnvInput { pod: &self.pod, container: spec, facts: &shared.node, pod_ips: &sandbox.ips };
        let environment = env::environment(shared.link.as_ref(), &input).await;
        let environment: BTreeMap<String, String> = environment.map_err(|error| error.to_string())?;
        let mounts = shared.volumes.bind(&self.pod, spec, &self.mounted, &environment);
        let mounts = mounts.map_err(|error| error.to_string())?;
        self.prepare_files(spec, attempt, sandbox).map_err(|error| error.to_string())?;
        Ok(container_config::build(&ContainerInput {
            pod: &self.pod,
            container: spec,
            attempt,
            image_ref: &image.id,
            environment: &environment,
            mounts: &mounts,
            paths: &shared.paths,
            node: shared.resources,
            target,
        }))
    }

    /// The files that are bound into every container: hosts, termination message; and the log's folder.
    fn prepare_files(&self, spec: &Spec, attempt: u32, sandbox: &Sandbox) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let paths = &self.shared.paths;
        let uid = facts::uid(&self.pod);
        let message = paths.termination_message(uid, &spec.name, attempt);
        std::fs::create_dir_all(message.parent().unwrap_or(Path::new("/")))?;
        std::fs::write(&message, "")?;
        // The container's user is not known to be root.
        std::fs::set_permissions(&message, std::fs::Permissions::from_mode(0o666))?;
        std::fs::create_dir_all(paths.logs(&self.pod).join(&spec.name))?;
        let content = hosts::content(&self.pod, &sandbox.ips, &self.shared.dns.domain);
        hosts::write(&paths.etc_hosts(uid), &content)
    }

    /// Nothing runs: gives back what the pod held, then lets the API server forget it.
    async fn finish(&mut self, observed: &Observed) -> bool {
        let uid = facts::uid(&self.pod).to_owned();
        let plan = super::plan::plan(&self.world(observed));
        let status = self.compute_status(observed, &plan);
        if let Err(message) = self.clean_up(&uid, observed).await {
            warn!(pod = %facts::key(&self.pod), message, "pod not cleaned up; tried again");
            self.back_off(SANDBOX, "FailedKillPod", message);
            return false;
        }
        let target = self.desired.borrow().target.clone();
        if let Some(target) = target {
            match self.memory.is_removed && !facts::is_static(&self.pod) {
                true => self.shared.statuses.forget(&target.uid).await,
                false => self.shared.statuses.finish(target, &status).await,
            }
        }
        info!(pod = %facts::key(&self.pod), "pod ended");
        true
    }

    async fn clean_up(&self, uid: &str, observed: &Observed) -> Result<(), String> {
        for sandbox in &observed.sandboxes {
            let removed = self.shared.runtime.remove_sandbox(&sandbox.id).await;
            removed.map_err(|error| format!("remove sandbox: {error}"))?;
        }
        self.shared.volumes.remove(uid).map_err(|error| format!("remove volumes: {error}"))?;
        for parent in resources::possible_cgroup_parents(uid) {
            self.shared.cgroups.remove_pod(&parent);
        }
        std::fs::remove_dir_all(self.shared.paths.logs(&self.pod)).ok();
        Ok(())
    }
}
