//! What a machine without power leaves in the kernel: the empty cgroups of its pods.

use std::path::Path;

use balsa_nodeagent::cgroup::Hierarchy;

/// Removes the groups of the pods that have a folder below a machine's data.
pub fn remove_of_pods(data: &Path) {
    let Ok(pods) = std::fs::read_dir(data.join("node/pods")) else { return };
    let cgroups = Hierarchy::detect();
    for pod in pods.flatten() {
        let uid = pod.file_name().to_string_lossy().into_owned();
        for class in ["", "burstable/", "besteffort/"] {
            cgroups.remove_pod(&format!("/kubepods/{class}pod{uid}"));
        }
    }
}
