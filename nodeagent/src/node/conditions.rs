//! The node's conditions: Ready, and the three pressures.

use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NodeCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use nix::sys::statvfs::statvfs;
use procfs::{Current, Meminfo};

use super::ready::Readiness;
use super::thresholds::Thresholds;

/// `previous` keeps the times of what did not change.
pub fn compute(
    readiness: &Readiness,
    (root_dir, thresholds): (&Path, &Thresholds),
    previous: &[NodeCondition],
    now: Timestamp,
) -> Vec<NodeCondition> {
    let pressure = |name: &str, is_low: bool, low: (&str, &str), enough: (&str, &str)| {
        let (reason, message) = if is_low { low } else { enough };
        condition(name, is_low, reason, message, previous, now)
    };
    let problems: Vec<&str> = [&readiness.runtime_problem, &readiness.network_problem]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let (reason, message) = match problems.is_empty() {
        true => ("KubeletReady", "kubelet is posting ready status".to_owned()),
        false => ("KubeletNotReady", format!("[{}]", problems.join(", "))),
    };
    vec![
        pressure(
            "MemoryPressure",
            memory_is_low(thresholds),
            ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ),
        pressure(
            "DiskPressure",
            disk_is_low(root_dir, thresholds),
            ("KubeletHasDiskPressure", "kubelet has disk pressure"),
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ),
        pressure(
            "PIDPressure",
            pids_are_low(thresholds),
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ),
        condition("Ready", problems.is_empty(), reason, &message, previous, now),
    ]
}

fn condition(
    name: &str,
    is_true: bool,
    reason: &str,
    message: &str,
    previous: &[NodeCondition],
    now: Timestamp,
) -> NodeCondition {
    let status = if is_true { "True" } else { "False" };
    let old = previous.iter().find(|c| c.type_ == name && c.status == status);
    NodeCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: Some(Time(now)),
        last_transition_time: old.and_then(|c| c.last_transition_time.clone()).or(Some(Time(now))),
    }
}

fn memory_is_low(thresholds: &Thresholds) -> bool {
    let (Some(threshold), Ok(info)) = (thresholds.memory_available, Meminfo::current()) else { return false };
    info.mem_available.is_some_and(|bytes| threshold.is_above(bytes, info.mem_total))
}

fn disk_is_low(root_dir: &Path, thresholds: &Thresholds) -> bool {
    let (storage, inodes) = (thresholds.storage_available, thresholds.storage_inodes_free);
    statvfs(root_dir).is_ok_and(|fs| {
        let block_bytes = fs.fragment_size();
        let (free, total) = (fs.blocks_available() * block_bytes, fs.blocks() * block_bytes);
        storage.is_some_and(|threshold| threshold.is_above(free, total))
            || inodes.is_some_and(|threshold| threshold.is_above(fs.files_available(), fs.files()))
    })
}

/// Of the process ids of the kernel.
fn pids_are_low(thresholds: &Thresholds) -> bool {
    let Some(threshold) = thresholds.pids_available else { return false };
    let number =
        |path: &str| std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    // "0.00 0.00 0.00 running/total last"
    let tasks = load
        .split_whitespace()
        .nth(3)
        .and_then(|word| word.split('/').nth(1))
        .and_then(|t| t.parse::<u64>().ok());
    match (tasks, number("/proc/sys/kernel/pid_max")) {
        (Some(tasks), Some(most)) => threshold.is_above(most.saturating_sub(tasks), most),
        (_, _) => false,
    }
}
