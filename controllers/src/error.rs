//! Why the controllers or the scheduler could not start or go on.

use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--kubeconfig is required: it says which apiserver to work for, and as whom")]
    NoKubeconfig,
    #[error("read the kubeconfig {path}")]
    Kubeconfig {
        path: PathBuf,
        #[source]
        source: balsa_proto::client::ConfigError,
    },
    #[error("read the root CA file {path}")]
    RootCa {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "--controllers: there is no controller \"{0}\" here; the names are those of kube-controller-manager"
    )]
    UnknownController(String),
    #[error("--allocate-node-cidrs needs --cluster-cidr, which says what to allocate from")]
    NoClusterCidr,
    #[error("--cluster-cidr {cidr}: nodes cannot get /{mask} networks out of it")]
    MaskTooWide { cidr: ipnet::IpNet, mask: u8 },
    #[error("{flag}: \"{value}\" is not a duration such as 40s or 1m30s")]
    Duration { flag: &'static str, value: String },
    #[error("make a certificate for the health port")]
    OwnCertificate {
        #[source]
        source: rcgen::Error,
    },
    #[error("set up TLS for the health port")]
    Tls {
        #[source]
        source: rustls::Error,
    },
    #[error("cannot listen on {address} for health checks: choose another --secure-port, or 0 to serve none")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("connect to the apiserver")]
    Client {
        #[source]
        source: balsa_proto::client::Error,
    },
}
