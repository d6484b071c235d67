//! Where a pod's files are on the node; the stock layout, so that tools find them.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use super::facts;

#[derive(Debug, Clone)]
pub struct Paths {
    pub root_dir: PathBuf,
    pub pod_logs_dir: PathBuf,
}

impl Paths {
    pub fn pods(&self) -> PathBuf {
        self.root_dir.join("pods")
    }

    pub fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }

    pub fn etc_hosts(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("etc-hosts")
    }

    /// `kind` is a plugin's directory name such as `kubernetes.io~empty-dir`.
    pub fn volume(&self, uid: &str, kind: &str, name: &str) -> PathBuf {
        self.pod(uid).join("volumes").join(kind).join(name)
    }

    /// Bind mounts of subPaths.
    pub fn subpaths(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volume-subpaths")
    }

    /// One termination message file per attempt.
    pub fn termination_message(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod(uid).join("containers").join(container).join(format!("{attempt}.message"))
    }

    pub fn logs(&self, pod: &Pod) -> PathBuf {
        let (namespace, name) = (facts::namespace(pod), facts::name(pod));
        self.pod_logs_dir.join(format!("{namespace}_{name}_{}", facts::uid(pod)))
    }

    /// Relative to [`Paths::logs`].
    pub fn log(container: &str, attempt: u32) -> String {
        format!("{container}/{attempt}.log")
    }

    pub fn log_file(&self, pod: &Pod, container: &str, attempt: u32) -> PathBuf {
        self.logs(pod).join(Self::log(container, attempt))
    }

    /// Behind the logs that lie there already, so that a container does not write into another one's: a static pod that comes
    /// back is the same pod, and the runtime may have forgotten its containers.
    pub fn next_log_attempt(&self, pod: &Pod, container: &str) -> u32 {
        let listing = std::fs::read_dir(self.logs(pod).join(container)).into_iter().flatten().flatten();
        // `3.log`, and rotated `3.log.20261121-101500`.
        let attempts =
            listing.filter_map(|entry| entry.file_name().to_str()?.split('.').next()?.parse::<u32>().ok());
        attempts.max().map_or(0, |last| last.saturating_add(1))
    }

    /// Uids of the pods that have a folder here.
    pub fn pod_uids(&self) -> Vec<String> {
        let listing = std::fs::read_dir(self.pods()).into_iter().flatten().flatten();
        listing.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// By the uid alone, which ends the names of log folders, when nothing else is known of the pod any more.
    pub fn remove_logs(&self, uid: &str) {
        let suffix = format!("_{uid}");
        for entry in std::fs::read_dir(&self.pod_logs_dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().ends_with(&suffix) {
                std::fs::remove_dir_all(entry.path()).ok();
            }
        }
    }

    pub fn seccomp_profile(&self, name: &str) -> PathBuf {
        self.root_dir.join("seccomp").join(Path::new(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_that_are_there_are_not_written_into() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root_dir: dir.path().join("kubelet"), pod_logs_dir: dir.path().join("logs") };
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "p", "namespace": "default", "uid": "u1" },
        }))
        .unwrap();
        assert_eq!(paths.next_log_attempt(&pod, "web"), 0);
        let folder = dir.path().join("logs/default_p_u1/web");
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(paths.next_log_attempt(&pod, "web"), 0);
        for name in ["0.log", "11.log.20261121-101500", "2.log", "notes"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(paths.next_log_attempt(&pod, "web"), 12);
        paths.remove_logs("1");
        assert_eq!(paths.next_log_attempt(&pod, "web"), 12, "of another pod");
        paths.remove_logs("u1");
        assert_eq!(paths.next_log_attempt(&pod, "web"), 0);
    }
}
