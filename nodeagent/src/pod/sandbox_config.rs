//! From a pod to the sandbox that CRI is asked for. Pure.

use std::collections::HashMap;

use balsa_proto::cri as api;
use k8s_openapi::api::core::v1::{Pod, PodSecurityContext};

use super::dns::{self, ClusterDns};
use super::facts;
use super::paths::Paths;
use crate::runtime::label;

pub struct SandboxInput<'a> {
    pub pod: &'a Pod,
    pub attempt: u32,
    pub dns: &'a ClusterDns,
    pub paths: &'a Paths,
    /// Empty where there are no cgroups.
    pub cgroup_parent: String,
}

pub fn build(input: &SandboxInput<'_>) -> api::PodSandboxConfig {
    let pod = input.pod;
    let (hostname, full) = dns::hostname(pod, &input.dns.domain);
    let wants_full = facts::spec(pod).set_hostname_as_fqdn == Some(true);
    let hostname = if wants_full { full.unwrap_or(hostname) } else { hostname };
    api::PodSandboxConfig {
        metadata: Some(api::PodSandboxMetadata {
            name: facts::name(pod).to_owned(),
            uid: facts::uid(pod).to_owned(),
            namespace: facts::namespace(pod).to_owned(),
            attempt: input.attempt,
        }),
        // The host's name stays with the host's network.
        hostname: if facts::uses_host_network(pod) { String::new() } else { hostname },
        log_directory: input.paths.logs(pod).display().to_string(),
        dns_config: Some(dns::config(pod, input.dns)),
        port_mappings: port_mappings(pod),
        labels: labels(pod),
        annotations: annotations(pod),
        linux: Some(linux(input)),
    }
}

fn labels(pod: &Pod) -> HashMap<String, String> {
    let own = pod.metadata.labels.iter().flatten().map(|(k, v)| (k.clone(), v.clone()));
    own.chain(identity(pod)).collect()
}

/// By these a restarted agent, and every tool, knows whose it is.
pub fn identity(pod: &Pod) -> [(String, String); 3] {
    [
        (label::POD_NAME.to_owned(), facts::name(pod).to_owned()),
        (label::POD_NAMESPACE.to_owned(), facts::namespace(pod).to_owned()),
        (label::POD_UID.to_owned(), facts::uid(pod).to_owned()),
    ]
}

fn annotations(pod: &Pod) -> HashMap<String, String> {
    let own = pod.metadata.annotations.iter().flatten().map(|(k, v)| (k.clone(), v.clone()));
    let grace = facts::spec(pod).termination_grace_period_seconds.unwrap_or(30).to_string();
    own.chain([(label::POD_GRACE_SECONDS.to_owned(), grace)]).collect()
}

/// Host ports are opened by the CNI portmap plugin; on the host's network there is nothing to map.
fn port_mappings(pod: &Pod) -> Vec<api::PortMapping> {
    if facts::uses_host_network(pod) {
        return Vec::new();
    }
    let ports = facts::all_containers(pod).flat_map(|container| container.ports.iter().flatten());
    let mapped = ports.filter(|port| port.host_port.is_some_and(|host_port| host_port > 0));
    mapped
        .map(|port| api::PortMapping {
            protocol: match port.protocol.as_deref() {
                Some("UDP") => api::Protocol::Udp,
                Some("SCTP") => api::Protocol::Sctp,
                Some(_) | None => api::Protocol::Tcp,
            } as i32,
            container_port: port.container_port,
            host_port: port.host_port.unwrap_or_default(),
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
        .collect()
}

pub fn namespaces(pod: &Pod) -> api::NamespaceOption {
    use api::NamespaceMode as Mode;
    let spec = facts::spec(pod);
    let or_node =
        |host: Option<bool>, otherwise: Mode| if host == Some(true) { Mode::Node } else { otherwise };
    let own_pid = if spec.share_process_namespace == Some(true) { Mode::Pod } else { Mode::Container };
    api::NamespaceOption {
        network: or_node(spec.host_network, Mode::Pod) as i32,
        pid: or_node(spec.host_pid, own_pid) as i32,
        ipc: or_node(spec.host_ipc, Mode::Pod) as i32,
        target_id: String::new(),
    }
}

fn linux(input: &SandboxInput<'_>) -> api::LinuxPodSandboxConfig {
    let pod = input.pod;
    let context = facts::spec(pod).security_context.as_ref();
    let is_privileged = |c: &k8s_openapi::api::core::v1::Container| {
        c.security_context.as_ref().is_some_and(|context| context.privileged == Some(true))
    };
    let sysctls = context.and_then(|c| c.sysctls.as_ref()).into_iter().flatten();
    api::LinuxPodSandboxConfig {
        cgroup_parent: input.cgroup_parent.clone(),
        security_context: Some(api::LinuxSandboxSecurityContext {
            namespace_options: Some(namespaces(pod)),
            run_as_user: context.and_then(|c| c.run_as_user).map(|value| api::Int64Value { value }),
            run_as_group: group(context),
            supplemental_groups: supplemental_groups(context),
            privileged: facts::all_containers(pod).any(is_privileged),
            // The sandbox's own process needs no more than the default profile.
            seccomp: Some(api::SecurityProfile::default()),
            ..Default::default()
        }),
        sysctls: sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
        ..Default::default()
    }
}

/// CRI refuses a group without a user.
fn group(context: Option<&PodSecurityContext>) -> Option<api::Int64Value> {
    let context = context?;
    context.run_as_user?;
    context.run_as_group.map(|value| api::Int64Value { value })
}

pub fn supplemental_groups(context: Option<&PodSecurityContext>) -> Vec<i64> {
    let Some(context) = context else { return Vec::new() };
    let groups = context.supplemental_groups.iter().flatten().copied();
    context.fs_group.into_iter().chain(groups).collect()
}
