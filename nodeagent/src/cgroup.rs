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

/// What is written into one file of a group. In a v1 hierarchy each controller has a tree of its own.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    controller: &'static str,
    file: &'static str,
    value: String,
}

impl PodLimits {
    fn settings(&self, hierarchy: Hierarchy) -> Vec<Setting> {
        let cpu = |file, value: String| Setting { controller: "cpu", file, value };
        let memory = |file, bytes: u64| Setting { controller: "memory", file, value: bytes.to_string() };
        match hierarchy {
            Hierarchy::Absent => Vec::new(),
            Hierarchy::V1 => {
                let mut settings = vec![cpu("cpu.shares", self.cpu_shares.to_string())];
                if let Some(quota) = self.cpu_quota_micros {
                    settings.push(cpu("cpu.cfs_period_us", CPU_PERIOD_MICROS.to_string()));
                    settings.push(cpu("cpu.cfs_quota_us", quota.to_string()));
                }
                settings.extend(self.memory_bytes.map(|bytes| memory("memory.limit_in_bytes", bytes)));
                settings
            }
            Hierarchy::V2 => {
                let mut settings = vec![cpu("cpu.weight", weight_of_shares(self.cpu_shares).to_string())];
                let quota = self.cpu_quota_micros;
                settings.extend(quota.map(|quota| cpu("cpu.max", format!("{quota} {CPU_PERIOD_MICROS}"))));
                settings.extend(self.memory_bytes.map(|bytes| memory("memory.max", bytes)));
                settings
            }
        }
    }
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
            Self::Absent => return Ok(()),
            Self::V1 => {
                for controller in V1_CONTROLLERS {
                    std::fs::create_dir_all(self.group(controller, parent))?;
                }
            }
            Self::V2 => make_v2_groups(parent)?,
        }
        for setting in limits.settings(self) {
            std::fs::write(self.group(setting.controller, parent).join(setting.file), setting.value)?;
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

/// Each level hands its controllers down to the next.
fn make_v2_groups(parent: &str) -> io::Result<()> {
    let mut path = PathBuf::from(ROOT);
    for part in parent.split('/').filter(|part| !part.is_empty()) {
        // One at a time: the kernel refuses the whole write for one controller that it lacks.
        for controller in ["+cpu", "+memory", "+pids", "+cpuset", "+io"] {
            std::fs::write(path.join("cgroup.subtree_control"), controller).ok();
        }
        path.push(part);
        std::fs::create_dir_all(&path)?;
    }
    Ok(())
}

/// The mapping that runc and the stock kubelet use: shares 2..262144 to weight 1..10000.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(hierarchy: Hierarchy, limits: &PodLimits) -> Vec<String> {
        let line = |s: Setting| format!("{} {} {}", s.controller, s.file, s.value);
        limits.settings(hierarchy).into_iter().map(line).collect()
    }

    #[test]
    fn both_hierarchies_are_told_the_same() {
        let full =
            PodLimits { cpu_shares: 512, cpu_quota_micros: Some(50_000), memory_bytes: Some(64 << 20) };
        assert_eq!(
            lines(Hierarchy::V1, &full),
            [
                "cpu cpu.shares 512",
                "cpu cpu.cfs_period_us 100000",
                "cpu cpu.cfs_quota_us 50000",
                "memory memory.limit_in_bytes 67108864"
            ]
        );
        assert_eq!(
            lines(Hierarchy::V2, &full),
            ["cpu cpu.weight 20", "cpu cpu.max 50000 100000", "memory memory.max 67108864"]
        );
        let free = PodLimits { cpu_shares: 2, ..PodLimits::default() };
        assert_eq!(lines(Hierarchy::V1, &free), ["cpu cpu.shares 2"]);
        assert_eq!(lines(Hierarchy::V2, &free), ["cpu cpu.weight 1"]);
        assert!(lines(Hierarchy::Absent, &full).is_empty());
    }

    #[test]
    fn weights_span_the_range_of_shares() {
        assert_eq!([2, 1024, 262_144].map(weight_of_shares), [1, 39, 10_000]);
    }
}
