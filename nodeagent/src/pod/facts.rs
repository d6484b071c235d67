//! What the agent asks of a pod, in one place: names, policies, classes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use balsa_proto::client::ObjectKey;
use balsa_proto::meta::Quantity;
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, EphemeralContainer, Pod, PodSpec, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use sha2::{Digest, Sha256};

/// Where a pod comes from; on static pods.
pub const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
/// A static pod's hash, on itself and on its mirror.
pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// Marks a mirror pod.
pub const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            Some("Always") => Some(Self::Always),
            Some("OnFailure") => Some(Self::OnFailure),
            Some("Never") => Some(Self::Never),
            Some(_) | None => None,
        }
    }

    pub fn restarts(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

pub fn key(pod: &Pod) -> ObjectKey {
    ObjectKey::of(pod)
}

pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// A static pod is known by its hash, as is its mirror: both are one pod here.
pub fn uid(pod: &Pod) -> &str {
    annotation(pod, CONFIG_MIRROR).unwrap_or_else(|| pod.metadata.uid.as_deref().unwrap_or_default())
}

pub fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref().and_then(|all| all.get(name)).map(String::as_str)
}

pub fn is_mirror(pod: &Pod) -> bool {
    annotation(pod, CONFIG_MIRROR).is_some()
}

pub fn is_static(pod: &Pod) -> bool {
    annotation(pod, CONFIG_SOURCE).is_some_and(|source| source != "api")
}

pub fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::OnceLock<PodSpec> = std::sync::OnceLock::new();
    pod.spec.as_ref().unwrap_or_else(|| EMPTY.get_or_init(PodSpec::default))
}

pub fn init_containers(pod: &Pod) -> &[Container] {
    spec(pod).init_containers.as_deref().unwrap_or_default()
}

pub fn containers(pod: &Pod) -> &[Container] {
    &spec(pod).containers
}

/// Init containers first.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    init_containers(pod).iter().chain(containers(pod))
}

/// Containers of `kubectl debug`, in the shape of the others; what they cannot have stays unset.
pub fn ephemeral_containers(pod: &Pod) -> impl Iterator<Item = Container> + '_ {
    spec(pod).ephemeral_containers.iter().flatten().map(as_container)
}

fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let ephemeral = ephemeral.clone();
    Container {
        name: ephemeral.name,
        image: ephemeral.image,
        image_pull_policy: ephemeral.image_pull_policy,
        command: ephemeral.command,
        args: ephemeral.args,
        working_dir: ephemeral.working_dir,
        env: ephemeral.env,
        env_from: ephemeral.env_from,
        volume_mounts: ephemeral.volume_mounts,
        volume_devices: ephemeral.volume_devices,
        security_context: ephemeral.security_context,
        stdin: ephemeral.stdin,
        stdin_once: ephemeral.stdin_once,
        tty: ephemeral.tty,
        termination_message_path: ephemeral.termination_message_path,
        termination_message_policy: ephemeral.termination_message_policy,
        ..Container::default()
    }
}

pub fn is_ephemeral(pod: &Pod, name: &str) -> bool {
    spec(pod).ephemeral_containers.iter().flatten().any(|container| container.name == name)
}

/// The container whose processes an ephemeral one is to see.
pub fn target_container<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let mut all = spec(pod).ephemeral_containers.iter().flatten();
    let target = all.find(|container| container.name == name)?.target_container_name.as_deref();
    target.filter(|target| !target.is_empty())
}

/// Of any kind.
pub fn find_container<'a>(pod: &'a Pod, name: &str) -> Option<Cow<'a, Container>> {
    let ordinary = all_containers(pod).find(|container| container.name == name).map(Cow::Borrowed);
    ordinary.or_else(|| ephemeral_containers(pod).find(|container| container.name == name).map(Cow::Owned))
}

/// Every status of a container that the API server was told, of any kind.
pub fn told_statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        let lists = [
            &status.container_statuses,
            &status.init_container_statuses,
            &status.ephemeral_container_statuses,
        ];
        lists.into_iter().flatten().flatten()
    })
}

pub fn restart_policy(pod: &Pod) -> RestartPolicy {
    RestartPolicy::parse(spec(pod).restart_policy.as_deref()).unwrap_or(RestartPolicy::Always)
}

/// The container's own policy, else the pod's.
pub fn restart_policy_of(pod: &Pod, container: &Container) -> RestartPolicy {
    RestartPolicy::parse(container.restart_policy.as_deref()).unwrap_or_else(|| restart_policy(pod))
}

/// An init container that keeps running beside the others (KEP-753).
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Seconds between SIGTERM and SIGKILL: what the deletion says, else the spec.
pub fn grace_seconds(pod: &Pod) -> i64 {
    let deletion = pod.metadata.deletion_grace_period_seconds;
    deletion.or(spec(pod).termination_grace_period_seconds).unwrap_or(30).max(0)
}

pub fn uses_host_network(pod: &Pod) -> bool {
    spec(pod).host_network == Some(true)
}

pub fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Nothing changes a container in place but its image (resources change through resize, which is not done here).
pub fn container_hash(container: &Container) -> String {
    let identity = format!("{}\n{}", container.name, container.image.as_deref().unwrap_or_default());
    Sha256::digest(identity.as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn quantity(list: Option<&BTreeMap<String, RawQuantity>>, resource: &str) -> Option<Quantity> {
    list?.get(resource).and_then(|raw| Quantity::parse(&raw.0).ok())
}

/// A request defaults to its limit.
pub fn request(resources: Option<&ResourceRequirements>, resource: &str) -> Option<Quantity> {
    let resources = resources?;
    let asked = quantity(resources.requests.as_ref(), resource);
    asked.or_else(|| quantity(resources.limits.as_ref(), resource))
}

pub fn limit(resources: Option<&ResourceRequirements>, resource: &str) -> Option<Quantity> {
    quantity(resources?.limits.as_ref(), resource)
}

/// As the API server computes it: Guaranteed when cpu and memory are limited everywhere and requested in full.
pub fn qos_class(pod: &Pod) -> QosClass {
    let given = pod.status.as_ref().and_then(|status| status.qos_class.as_deref());
    match given {
        Some("Guaranteed") => return QosClass::Guaranteed,
        Some("Burstable") => return QosClass::Burstable,
        Some("BestEffort") => return QosClass::BestEffort,
        Some(_) | None => {}
    }
    let is_set = |quantity: Option<Quantity>| quantity.is_some_and(|q| !q.is_zero());
    let mut any = false;
    let mut guaranteed = true;
    for container in all_containers(pod) {
        let resources = container.resources.as_ref();
        for name in ["cpu", "memory"] {
            let (request, limit) = (request(resources, name), limit(resources, name));
            any |= is_set(request) || is_set(limit);
            guaranteed &= is_set(limit) && request.map(|q| q.milli_value()) == limit.map(|q| q.milli_value());
        }
    }
    match (any, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}
