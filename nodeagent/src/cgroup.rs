//! The kubepods cgroup tree, in both of the kernel's hierarchies.
//!
//! `/kubepods/pod<uid>` (Guaranteed), `/kubepods/burstable/pod<uid>`, `/kubepods/besteffort/pod<uid>`. The runtime makes
//! the containers' own groups below a pod's; here the pod's group gets the sum of its containers, so that one pod
//! cannot take from its neighbours. Where cgroups cannot be written, nothing is done and containers go without.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

const ROOT: &str = "/sys/fs/cgroup";
/// Controllers whose files are written here, in a v1 hierarchy.
const V1_CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hierarchy {
    V1,
    V2,
    /// Not mounted, or read-only.
    Absent,
}

/// What a pod's group is held to. `None`: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodLimits {
    pub cpu_shares: u64,
    pub cpu_quota_micros: Option<u64>,
    pub memory_bytes: Option<u64>,
}

/// CFS period, microseconds (stock).
pub const CPU_PERIOD_MICROS: u64 = 100_000;

impl Hierarchy {
    pub fn detect() -> Self {
        let root = Path::new(ROOT);
        let is_v2 = statfs(root).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC);
        let found = match is_v2 {
            true => Self::V2,
            false if root.join("cpu").is_dir() && root.join("memory").is_dir() => Self::V1,
            false => return Self::Absent,
        };
        let probe = found.controller_root("memory").join("cgroup.procs");
        match nix::unistd::access(&probe, nix::unistd::AccessFlags::W_OK) {
            Ok(()) => found,
            Err(_) => Self::Absent,
        }
    }

    pub fn is_writable(self) -> bool {
        self != Self::Absent
    }

    fn controller_root(self, controller: &str) -> PathBuf {
        match self {
            Self::V1 => Path::new(ROOT).join(controller),
            Self::V2 | Self::Absent => PathBuf::from(ROOT),
        }
    }

    /// Makes the pod's group and its parents, and sets its limits. `parent` is a path such as `/kubepods/pod1`.
    pub fn ensure_pod(self, parent: &str, limits: &PodLimits) -> io::Result<()> {
        match self {
            Self::Absent => Ok(()),
            Self::V1 => self.ensure_v1(parent, limits),
            Self::V2 => self.ensure_v2(parent, limits),
        }
    }

    fn ensure_v1(self, parent: &str, limits: &PodLimits) -> io::Result<()> {
        for controller in V1_CONTROLLERS {
            std::fs::create_dir_all(self.group(controller, parent))?;
        }
        let cpu = self.group("cpu", parent);
        write(&cpu, "cpu.shares", limits.cpu_shares)?;
        if let Some(quota) = limits.cpu_quota_micros {
            write(&cpu, "cpu.cfs_period_us", CPU_PERIOD_MICROS)?;
            write(&cpu, "cpu.cfs_quota_us", quota)?;
        }
        if let Some(bytes) = limits.memory_bytes {
            write(&self.group("memory", parent), "memory.limit_in_bytes", bytes)?;
        }
        Ok(())
    }

    fn ensure_v2(self, parent: &str, limits: &PodLimits) -> io::Result<()> {
        let mut path = PathBuf::from(ROOT);
        for part in parent.split('/').filter(|part| !part.is_empty()) {
            // One at a time: the kernel refuses the whole write for one controller that it lacks.
            for controller in ["+cpu", "+memory", "+pids", "+cpuset", "+io"] {
                std::fs::write(path.join("cgroup.subtree_control"), controller).ok();
            }
            path.push(part);
            std::fs::create_dir_all(&path)?;
        }
        write(&path, "cpu.weight", weight_of_shares(limits.cpu_shares))?;
        if let Some(quota) = limits.cpu_quota_micros {
            write(&path, "cpu.max", format!("{quota} {CPU_PERIOD_MICROS}"))?;
        }
        if let Some(bytes) = limits.memory_bytes {
            write(&path, "memory.max", bytes)?;
        }
        Ok(())
    }

    fn group(self, controller: &str, parent: &str) -> PathBuf {
        self.controller_root(controller).join(parent.trim_start_matches('/'))
    }

    /// Removes the pod's group, bottom up, in every controller that has it. Groups with processes stay.
    pub fn remove_pod(self, parent: &str) {
        let roots = match self {
            Self::Absent => return,
            Self::V2 => vec![PathBuf::from(ROOT)],
            Self::V1 => std::fs::read_dir(ROOT)
                .map(|listing| listing.flatten().map(|entry| entry.path()).collect())
                .unwrap_or_default(),
        };
        for root in roots {
            remove_tree(&root.join(parent.trim_start_matches('/')));
        }
    }
}

/// Only folders can be removed in a cgroup file system; their files go with them.
fn remove_tree(group: &Path) {
    let Ok(listing) = std::fs::read_dir(group) else { return };
    for entry in listing.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    std::fs::remove_dir(group).ok();
}

fn write(group: &Path, file: &str, value: impl std::fmt::Display) -> io::Result<()> {
    std::fs::write(group.join(file), value.to_string())
}

/// The mapping that runc and the stock kubelet use: shares 2..262144 to weight 1..10000.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}
