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

    pub fn seccomp_profile(&self, name: &str) -> PathBuf {
        self.root_dir.join("seccomp").join(Path::new(name))
    }
}
