//! Which pods of a set go first when there are too many.
//!
//! The order, first difference decides: not on a node; Pending, Unknown, Running; not ready; lower deletion cost; more pods of
//! the same workload on the node; ready for a shorter time; more restarts; younger. Source: the ReplicaSet documentation
//! ("When scaling down") and KEP-2255 (pod deletion cost).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::object::{annotation, created_at, name_of};
use crate::pod::{is_ready, node_name, phase, ready_since, restarts};

/// The `count` pods to delete.
pub fn worst(pods: &[Arc<Pod>], related: &[Arc<Pod>], count: usize) -> Vec<Arc<Pod>> {
    if count == 0 {
        return Vec::new();
    }
    let mut crowd: HashMap<&str, usize> = HashMap::new();
    for pod in related {
        *crowd.entry(node_name(pod)).or_default() += 1;
    }
    let mut ranked = pods.to_vec();
    ranked.sort_by_cached_key(|pod| value_of(pod, crowd.get(node_name(pod)).copied().unwrap_or(0)));
    ranked.truncate(count);
    ranked
}

/// What a pod is worth; the least valuable go first. The name makes the order total.
type Value = (
    bool,
    u8,
    bool,
    i32,
    Reverse<usize>,
    Reverse<Option<Timestamp>>,
    Reverse<i32>,
    Reverse<Timestamp>,
    String,
);

fn value_of(pod: &Pod, neighbours: usize) -> Value {
    (
        !node_name(pod).is_empty(),
        phase_rank(pod),
        is_ready(pod),
        deletion_cost(pod),
        Reverse(neighbours),
        Reverse(ready_since(pod)),
        Reverse(restarts(pod)),
        Reverse(created_at(&pod.metadata)),
        name_of(&pod.metadata).to_owned(),
    )
}

fn phase_rank(pod: &Pod) -> u8 {
    match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    annotation(&pod.metadata, "controller.kubernetes.io/pod-deletion-cost")
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0)
}
