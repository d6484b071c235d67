//! From requests and limits to what the kernel enforces: shares, quota, bytes, and the order of the OOM killer.
//!
//! The numbers are the stock kubelet's, so that a pod behaves the same on either.

use balsa_proto::cri as api;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::facts::{self, QosClass};
use crate::cgroup::{CPU_PERIOD_MICROS, PodLimits};

const SHARES_PER_CPU: i64 = 1024;
const LEAST_SHARES: i64 = 2;
const MOST_SHARES: i64 = 262_144;
/// The kernel refuses less than a millisecond.
const LEAST_QUOTA_MICROS: i64 = 1000;

/// The node's side of the arithmetic.
#[derive(Debug, Clone, Copy)]
pub struct NodeResources {
    pub memory_bytes: i64,
    pub enforces_cpu_quota: bool,
    /// cgroups v2, where a container can be killed as a whole when it runs out of memory.
    pub kills_whole_container: bool,
}

fn shares(millis: i64) -> i64 {
    if millis == 0 { LEAST_SHARES } else { (millis * SHARES_PER_CPU / 1000).clamp(LEAST_SHARES, MOST_SHARES) }
}

fn quota_micros(millis: i64) -> i64 {
    let period = i64::try_from(CPU_PERIOD_MICROS).unwrap_or(i64::MAX);
    (millis * period / 1000).max(LEAST_QUOTA_MICROS)
}

pub fn container(pod: &Pod, container: &Container, node: NodeResources) -> api::LinuxContainerResources {
    let resources = container.resources.as_ref();
    let millis = facts::request(resources, "cpu").map_or(0, |q| q.milli_value());
    let mut linux = api::LinuxContainerResources {
        cpu_shares: shares(millis),
        oom_score_adj: oom_score(pod, container, node.memory_bytes),
        memory_limit_in_bytes: facts::limit(resources, "memory").map_or(0, |q| q.value()),
        ..Default::default()
    };
    let limit = facts::limit(resources, "cpu").map_or(0, |q| q.milli_value());
    if node.enforces_cpu_quota && limit > 0 {
        linux.cpu_period = i64::try_from(CPU_PERIOD_MICROS).unwrap_or(i64::MAX);
        linux.cpu_quota = quota_micros(limit);
    }
    if node.kills_whole_container {
        linux.unified.insert("memory.oom.group".to_owned(), "1".to_owned());
    }
    linux
}

/// The more a container uses of what it did not ask for, the sooner it is killed.
fn oom_score(pod: &Pod, container: &Container, node_memory_bytes: i64) -> i64 {
    const CRITICAL_PRIORITY: i32 = 2_000_000_000;
    if facts::spec(pod).priority.is_some_and(|priority| priority >= CRITICAL_PRIORITY) {
        return -997;
    }
    match facts::qos_class(pod) {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let requests = container.resources.as_ref().and_then(|r| r.requests.as_ref());
            let request = facts::quantity(requests, "memory").map_or(0, |q| q.value());
            let score = 1000
                - i64::try_from(i128::from(request) * 1000 / i128::from(node_memory_bytes.max(1)))
                    .unwrap_or(1000);
            // 2 stays below every BestEffort container, 999 above every system daemon.
            score.clamp(3, 999)
        }
    }
}

/// Where the pod's containers live, or empty where there are no cgroups to write.
pub fn cgroup_parent(pod: &Pod) -> String {
    let uid = facts::uid(pod);
    match facts::qos_class(pod) {
        QosClass::Guaranteed => format!("/kubepods/pod{uid}"),
        QosClass::Burstable => format!("/kubepods/burstable/pod{uid}"),
        QosClass::BestEffort => format!("/kubepods/besteffort/pod{uid}"),
    }
}

/// Every place where a pod of this uid may have had its group.
pub fn possible_cgroup_parents(uid: &str) -> [String; 3] {
    ["", "/burstable", "/besteffort"].map(|class| format!("/kubepods{class}/pod{uid}"))
}

/// Ordinary containers and sidecars run together, other init containers before them and alone.
fn most_at_once(pod: &Pod, amount: impl Fn(&Container) -> i64) -> i64 {
    let sidecars = facts::init_containers(pod).iter().filter(|spec| facts::is_sidecar(spec));
    let together: i64 = facts::containers(pod).iter().chain(sidecars).map(&amount).sum();
    let alone = facts::init_containers(pod).iter().filter(|spec| !facts::is_sidecar(spec)).map(&amount);
    together.max(alone.max().unwrap_or(0))
}

/// The pod's group: limits only where every container has one.
pub fn pod_limits(pod: &Pod, node: NodeResources) -> PodLimits {
    let request = |name: &'static str| {
        move |c: &Container| facts::request(c.resources.as_ref(), name).map_or(0, |q| q.milli_value())
    };
    let has_limit = |name: &str| {
        facts::all_containers(pod)
            .all(|c| facts::limit(c.resources.as_ref(), name).is_some_and(|q| !q.is_zero()))
    };
    let cpu_limit =
        most_at_once(pod, |c| facts::limit(c.resources.as_ref(), "cpu").map_or(0, |q| q.milli_value()));
    let memory_limit =
        most_at_once(pod, |c| facts::limit(c.resources.as_ref(), "memory").map_or(0, |q| q.value()));
    let positive = |value: i64| u64::try_from(value).unwrap_or_default();
    PodLimits {
        cpu_shares: positive(shares(most_at_once(pod, request("cpu")))),
        cpu_quota_micros: (node.enforces_cpu_quota && has_limit("cpu"))
            .then(|| positive(quota_micros(cpu_limit))),
        memory_bytes: has_limit("memory").then(|| positive(memory_limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_quota_and_scores_are_the_stock_numbers() {
        assert_eq!([0, 1, 100, 1000, 4000].map(shares), [2, 2, 102, 1024, 4096]);
        assert_eq!([1, 10, 500, 2000].map(quota_micros), [1000, 1000, 50_000, 200_000]);
        let pod: Pod = serde_json::from_value(serde_json::json!({ "spec": { "containers": [
            { "name": "a", "resources": { "requests": { "memory": "1Gi" } } } ] } }))
        .unwrap();
        let first = &facts::containers(&pod)[0];
        assert_eq!(oom_score(&pod, first, 4 << 30), 750);
        assert_eq!(cgroup_parent(&pod), "/kubepods/burstable/pod");
    }

    #[test]
    fn on_cgroups_v2_a_container_runs_out_of_memory_as_a_whole() {
        let pod: Pod =
            serde_json::from_value(serde_json::json!({ "spec": { "containers": [{ "name": "a" }] } }))
                .unwrap();
        let unified = |kills_whole_container| {
            let node = NodeResources { memory_bytes: 1, enforces_cpu_quota: true, kills_whole_container };
            container(&pod, &facts::containers(&pod)[0], node).unified
        };
        assert_eq!(unified(true).get("memory.oom.group").map(String::as_str), Some("1"));
        assert!(unified(false).is_empty());
    }
}
