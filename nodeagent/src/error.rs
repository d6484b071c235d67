//! Why a node agent does not start, or stops.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the node agent must run as root: it mounts volumes and starts containers")]
    NotRoot,
    #[error("{0}")]
    Flag(String),
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("create {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("parse {}: {message}", path.display())]
    Parse { path: PathBuf, message: String },
    #[error("kubeconfig")]
    Kubeconfig(#[from] balsa_proto::client::ConfigError),
    #[error("client of the API server")]
    Client(#[from] balsa_proto::client::Error),
    #[error("containerd")]
    Containerd(#[from] crate::runtime::containerd::Error),
    #[error("no container runtime answers at {}", endpoint.display())]
    Runtime {
        endpoint: PathBuf,
        #[source]
        source: crate::runtime::Error,
    },
    #[error("the node agent's own API")]
    Serve(#[from] crate::serve::Error),
    #[error("services of the cluster")]
    Services(#[from] crate::services::Error),
}
