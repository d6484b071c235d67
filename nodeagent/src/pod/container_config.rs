//! From a container of a pod to what CRI is asked for. Pure but for `runAsNonRoot`, which needs the image's user.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use balsa_proto::cri as api;
use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile, SecurityContext};

use super::expand::expand;
use super::paths::Paths;
use super::resources::{self, NodeResources};
use super::{facts, sandbox_config};
use crate::runtime::label;

/// A volume as one container sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundMount {
    pub container_path: String,
    pub host_path: PathBuf,
    pub read_only: bool,
    /// `None`, `HostToContainer` or `Bidirectional`.
    pub propagation: Option<String>,
}

pub struct ContainerInput<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub attempt: u32,
    pub image_ref: &'a str,
    pub environment: &'a BTreeMap<String, String>,
    pub mounts: &'a [BoundMount],
    pub paths: &'a Paths,
    pub node: NodeResources,
    /// Id of the container whose processes this one sees.
    pub target: Option<&'a str>,
}

pub fn build(input: &ContainerInput<'_>) -> api::ContainerConfig {
    let container = input.container;
    let words = |words: &Option<Vec<String>>| {
        words.iter().flatten().map(|word| expand(word, input.environment)).collect()
    };
    api::ContainerConfig {
        metadata: Some(api::ContainerMetadata { name: container.name.clone(), attempt: input.attempt }),
        image: Some(api::ImageSpec {
            image: input.image_ref.to_owned(),
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..Default::default()
        }),
        command: words(&container.command),
        args: words(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: environment(input.environment),
        mounts: mounts(input),
        devices: Vec::new(),
        labels: labels(input),
        annotations: annotations(input),
        log_path: Paths::log(&container.name, input.attempt),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(api::LinuxContainerConfig {
            resources: Some(resources::container(input.pod, container, input.node)),
            security_context: Some(security(input)),
        }),
    }
}

fn environment(variables: &BTreeMap<String, String>) -> Vec<api::KeyValue> {
    let pair = |(key, value): (&String, &String)| api::KeyValue {
        key: key.clone(),
        value: value.clone().into_bytes().into(),
    };
    variables.iter().map(pair).collect()
}

pub fn termination_message_path(container: &Container) -> &str {
    container.termination_message_path.as_deref().unwrap_or("/dev/termination-log")
}

fn labels(input: &ContainerInput<'_>) -> HashMap<String, String> {
    let name = (label::CONTAINER_NAME.to_owned(), input.container.name.clone());
    sandbox_config::identity(input.pod).into_iter().chain([name]).collect()
}

fn annotations(input: &ContainerInput<'_>) -> HashMap<String, String> {
    let container = input.container;
    let policy = container.termination_message_policy.as_deref().unwrap_or("File");
    let grace = facts::spec(input.pod).termination_grace_period_seconds.unwrap_or(30);
    HashMap::from([
        (label::CONTAINER_HASH.to_owned(), facts::container_hash(container)),
        (label::RESTART_COUNT.to_owned(), input.attempt.to_string()),
        (label::TERMINATION_MESSAGE_PATH.to_owned(), termination_message_path(container).to_owned()),
        (label::TERMINATION_MESSAGE_POLICY.to_owned(), policy.to_owned()),
        (label::POD_GRACE_SECONDS.to_owned(), grace.to_string()),
    ])
}

fn mounts(input: &ContainerInput<'_>) -> Vec<api::Mount> {
    let mut mounts: Vec<api::Mount> = input.mounts.iter().map(mount).collect();
    let uid = facts::uid(input.pod);
    let owns_hosts = input.mounts.iter().any(|mount| mount.container_path == "/etc/hosts");
    if !owns_hosts {
        mounts.push(bind("/etc/hosts", input.paths.etc_hosts(uid)));
    }
    let message = input.paths.termination_message(uid, &input.container.name, input.attempt);
    mounts.push(bind(termination_message_path(input.container), message));
    mounts
}

fn bind(container_path: &str, host_path: PathBuf) -> api::Mount {
    api::Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.display().to_string(),
        ..Default::default()
    }
}

fn mount(bound: &BoundMount) -> api::Mount {
    use api::MountPropagation as Propagation;
    let propagation = match bound.propagation.as_deref() {
        Some("HostToContainer") => Propagation::PropagationHostToContainer,
        Some("Bidirectional") => Propagation::PropagationBidirectional,
        Some(_) | None => Propagation::PropagationPrivate,
    };
    api::Mount {
        container_path: bound.container_path.clone(),
        host_path: bound.host_path.display().to_string(),
        readonly: bound.read_only,
        propagation: propagation as i32,
        ..Default::default()
    }
}

/// What runc masks by default, which CRI wants to be told.
const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn security(input: &ContainerInput<'_>) -> api::LinuxContainerSecurityContext {
    let empty = SecurityContext::default();
    let own = input.container.security_context.as_ref().unwrap_or(&empty);
    let pod = facts::spec(input.pod).security_context.as_ref();
    let wrapped = |value: Option<i64>| value.map(|value| api::Int64Value { value });
    let user = own.run_as_user.or(pod.and_then(|pod| pod.run_as_user));
    let group = own.run_as_group.or(pod.and_then(|pod| pod.run_as_group));
    let privileged = own.privileged == Some(true);
    let unmasked = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |list: &[&str]| match unmasked {
        true => Vec::new(),
        false => list.iter().map(|path| (*path).to_owned()).collect(),
    };
    api::LinuxContainerSecurityContext {
        capabilities: own.capabilities.as_ref().map(|c| api::Capability {
            add_capabilities: c.add.clone().unwrap_or_default(),
            drop_capabilities: c.drop.clone().unwrap_or_default(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged,
        namespace_options: Some(namespaces(input)),
        run_as_user: wrapped(user),
        run_as_group: wrapped(group),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: sandbox_config::supplemental_groups(pod),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: paths(&MASKED),
        readonly_paths: paths(&READ_ONLY),
        seccomp: Some(seccomp(input, own)),
        ..Default::default()
    }
}

/// A target matters only where containers do not see each other's processes anyway.
fn namespaces(input: &ContainerInput<'_>) -> api::NamespaceOption {
    let of_pod = sandbox_config::namespaces(input.pod);
    match input.target {
        Some(id) if of_pod.pid() == api::NamespaceMode::Container => api::NamespaceOption {
            pid: api::NamespaceMode::Target as i32,
            target_id: id.to_owned(),
            ..of_pod
        },
        Some(_) | None => of_pod,
    }
}

fn seccomp(input: &ContainerInput<'_>, own: &SecurityContext) -> api::SecurityProfile {
    use api::security_profile::ProfileType;
    let pod = facts::spec(input.pod).security_context.as_ref();
    let profile: Option<&SeccompProfile> =
        own.seccomp_profile.as_ref().or(pod.and_then(|pod| pod.seccomp_profile.as_ref()));
    let plain =
        |kind: ProfileType| api::SecurityProfile { profile_type: kind as i32, localhost_ref: String::new() };
    match profile.map(|profile| profile.type_.as_str()) {
        Some("RuntimeDefault") => plain(ProfileType::RuntimeDefault),
        Some("Localhost") => {
            let name = profile.and_then(|p| p.localhost_profile.as_deref()).unwrap_or_default();
            let path = input.paths.seccomp_profile(name);
            api::SecurityProfile {
                profile_type: ProfileType::Localhost as i32,
                localhost_ref: path.display().to_string(),
            }
        }
        Some(_) | None => plain(ProfileType::Unconfined),
    }
}

/// The stock sentence when `runAsNonRoot` forbids the user that the container would have.
pub fn root_refused(
    pod: &Pod,
    container: &Container,
    image_uid: Option<i64>,
    image_user: &str,
) -> Option<String> {
    let own = container.security_context.as_ref();
    let whole = facts::spec(pod).security_context.as_ref();
    let demanded = own.and_then(|c| c.run_as_non_root).or(whole.and_then(|c| c.run_as_non_root));
    if demanded != Some(true) {
        return None;
    }
    let user = own.and_then(|c| c.run_as_user).or(whole.and_then(|c| c.run_as_user));
    let names = format!(
        "(pod: \"{}_{}({})\", container: {})",
        facts::name(pod),
        facts::namespace(pod),
        facts::uid(pod),
        container.name
    );
    match (user, image_uid, image_user) {
        (Some(0), _, _) => Some(format!("container's runAsUser breaks non-root policy {names}")),
        (Some(_), _, _) => None,
        (None, Some(0), _) | (None, None, "" | "root") => {
            Some(format!("container has runAsNonRoot and image will run as root {names}"))
        }
        (None, Some(_), _) => None,
        (None, None, name) => Some(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {names}"
        )),
    }
}
