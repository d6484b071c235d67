//! What lies where below the data directory of `balsa up`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// ```text
/// kubeconfig          the administrator's
/// pki/                certificates and keys; the store's own below etcd/
/// store/              the store's member
/// node/               pods and volumes; node/runtime is containerd's, node/runtime/images/*.tar is imported at start
/// manifests/          static pods: what lies here runs on this node
/// balsa.pid, lock, node-name, runtime-endpoint (of a runtime that is not ours)
/// ```
#[derive(Debug, Clone)]
pub struct Layout {
    pub data_dir: PathBuf,
}

/// containerd's sockets are some 40 bytes below the data directory, and a unix socket address has 107.
const DATA_DIR_BYTES: usize = 60;

impl Layout {
    pub fn under(data_dir: &Path) -> Result<Self> {
        let data_dir = std::path::absolute(data_dir).context("make --data-dir absolute")?;
        ensure!(
            data_dir.as_os_str().len() <= DATA_DIR_BYTES,
            "--data-dir {} is too long: the sockets below it would not fit; use a path of at most {DATA_DIR_BYTES} bytes",
            data_dir.display()
        );
        Ok(Self { data_dir })
    }

    /// Whether `balsa up` has really started here; a refused start leaves no more than a lock.
    pub fn is_ours(&self) -> bool {
        self.pid_file().exists()
    }

    pub fn pki_dir(&self) -> PathBuf {
        self.data_dir.join("pki")
    }

    pub fn pki_file(&self, name: &str) -> PathBuf {
        self.pki_dir().join(name)
    }

    /// A component's own kubeconfig, with its own identity.
    pub fn component_kubeconfig(&self, component: &str) -> PathBuf {
        self.pki_dir().join(format!("{component}.kubeconfig"))
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir.join("kubeconfig")
    }

    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    pub fn node_dir(&self) -> PathBuf {
        self.data_dir.join("node")
    }

    pub fn runtime_dir(&self) -> PathBuf {
        self.node_dir().join("runtime")
    }

    pub fn manifests_dir(&self) -> PathBuf {
        self.data_dir.join("manifests")
    }

    /// Whose data this is.
    pub fn node_name_file(&self) -> PathBuf {
        self.data_dir.join("node-name")
    }

    /// Which runtime has the containers, if it is not ours: what `balsa down` must ask.
    pub fn runtime_endpoint_file(&self) -> PathBuf {
        self.data_dir.join("runtime-endpoint")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.data_dir.join("balsa.pid")
    }

    pub fn lock_file(&self) -> PathBuf {
        self.data_dir.join("lock")
    }
}
