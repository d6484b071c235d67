//! From flags to values: files read, ranges parsed, certificates made; every complaint is one sentence.

use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::args::Args;
use crate::authn::{AuthnConfig, KeyError, TokenKeys};
use crate::pki::{CertKey, Pki, PkiError, PkiOptions, ServingFiles};
use crate::storage::{EtcdConfig, EtcdTls};

/// The user that kubelets see, and its group: what stock installers use.
const KUBELET_CLIENT: (&str, &str) = ("kube-apiserver-kubelet-client", "system:masters");
const CLUSTER_DOMAIN: &str = "cluster.local";

/// What `run` needs; holds secrets, so it has no Debug.
pub struct Config {
    pub etcd: EtcdConfig,
    pub bind: SocketAddr,
    pub advertise_address: IpAddr,
    pub serving: ServingFiles,
    pub authn: AuthnConfig,
    pub service_range: IpNet,
    pub node_ports: RangeInclusive<u16>,
    pub kubelet_ca_pem: String,
    pub kubelet_client: CertKey,
    pub kubelet_address_types: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{flag}: {value:?} is not {expected}")]
    Value { flag: &'static str, value: String, expected: &'static str },
    #[error("--authorization-mode={0} is not supported: it must be Node,RBAC")]
    AuthorizationMode(String),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl Args {
    pub fn into_config(self) -> Result<Config, ConfigError> {
        check_modes(&self.authorization_mode)?;
        let service_range = self.service_range()?;
        let node_ports = port_range(&self.service_node_port_range)?;
        let advertise_address =
            self.advertise_address.unwrap_or_else(|| reachable_address(self.bind_address));
        // Certificates of our own are made only if a file is not given.
        let own = OnceCell::new();
        let pki = || match own.get() {
            Some(pki) => Ok(pki),
            None => self.pki(advertise_address, service_range).map(|pki| own.get_or_init(|| pki)),
        };
        let client_ca_pem = match self.client_ca_file.as_deref() {
            Some(path) => read(path)?,
            None => pki()?.ca_pem().to_owned(),
        };
        let kubelet_ca_pem = match self.kubelet_certificate_authority.as_deref() {
            Some(path) => read(path)?,
            None => client_ca_pem.clone(),
        };
        let signing_pem = match self.service_account_signing_key_file.as_deref() {
            Some(path) => read(path)?,
            None => pki()?.token_key().private_pem.clone(),
        };
        let token_keys = TokenKeys::from_pem(&signing_pem, &self.verifying_pems()?)?;
        let serving = match (self.tls_cert_file.clone(), self.tls_private_key_file.clone()) {
            (Some(certificate), Some(key)) => ServingFiles { certificate, key },
            _ => pki()?.serving_files(),
        };
        let kubelet_client =
            match pair(self.kubelet_client_certificate.as_deref(), self.kubelet_client_key.as_deref())? {
                Some(pair) => pair,
                None => {
                    let (name, group) = KUBELET_CLIENT;
                    pki()?.ensure_client("apiserver-kubelet-client", name, &[group])?
                }
            };
        Ok(Config {
            etcd: self.etcd()?,
            bind: SocketAddr::new(self.bind_address, self.secure_port),
            advertise_address,
            serving,
            kubelet_client,
            authn: AuthnConfig {
                token_keys,
                client_ca_pem,
                issuer: self.service_account_issuer,
                api_audiences: self.api_audiences,
                allows_anonymous: self.anonymous_auth,
            },
            service_range,
            node_ports,
            kubelet_ca_pem,
            kubelet_address_types: self.kubelet_preferred_address_types,
        })
    }

    fn service_range(&self) -> Result<IpNet, ConfigError> {
        let refuse = || ConfigError::Value {
            flag: "--service-cluster-ip-range",
            value: self.service_cluster_ip_range.clone(),
            expected: "one network like 10.96.0.0/16 with room for 8 addresses or more",
        };
        let range: IpNet = self.service_cluster_ip_range.parse().map_err(|_| refuse())?;
        let host_bits = range.max_prefix_len() - range.prefix_len();
        if host_bits < 3 { Err(refuse()) } else { Ok(range.trunc()) }
    }

    fn pki(&self, advertise_address: IpAddr, service_range: IpNet) -> Result<Pki, ConfigError> {
        let options = PkiOptions {
            host_name: host_name(),
            advertise_address,
            service_address: first_address(service_range),
            cluster_domain: CLUSTER_DOMAIN.to_owned(),
            extra_sans: self.tls_san.clone(),
        };
        Ok(Pki::ensure(&self.cert_dir, &options)?)
    }

    fn etcd(&self) -> Result<EtcdConfig, ConfigError> {
        let ca_pem = self.etcd_cafile.as_deref().map(read).transpose()?.map(String::into_bytes);
        let identity_pem = pair(self.etcd_certfile.as_deref(), self.etcd_keyfile.as_deref())?
            .map(|pair| (pair.cert_pem.into_bytes(), pair.key_pem.into_bytes()));
        let tls = (ca_pem.is_some() || identity_pem.is_some()).then_some(EtcdTls { ca_pem, identity_pem });
        Ok(EtcdConfig { servers: self.etcd_servers.clone(), prefix: self.etcd_prefix.clone(), tls })
    }

    fn verifying_pems(&self) -> Result<Vec<String>, ConfigError> {
        self.service_account_key_file.iter().map(|path| read(path)).collect()
    }
}

/// The ClusterIP of the `kubernetes` Service.
pub fn first_address(range: IpNet) -> IpAddr {
    range.hosts().next().expect("a range has at least 8 addresses")
}

fn check_modes(modes: &[String]) -> Result<(), ConfigError> {
    let mut sorted: Vec<&str> = modes.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    if sorted == ["Node", "RBAC"] { Ok(()) } else { Err(ConfigError::AuthorizationMode(modes.join(","))) }
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, ConfigError> {
    let refuse = || ConfigError::Value {
        flag: "--service-node-port-range",
        value: text.to_owned(),
        expected: "a range like 30000-32767",
    };
    let (first, last) = text.split_once('-').ok_or_else(refuse)?;
    let (first, last) = (first.parse().map_err(|_| refuse())?, last.parse().map_err(|_| refuse())?);
    if first == 0 || first > last { Err(refuse()) } else { Ok(first..=last) }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn pair(cert: Option<&Path>, key: Option<&Path>) -> Result<Option<CertKey>, ConfigError> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(CertKey { cert_pem: read(cert)?, key_pem: read(key)? })),
        _ => Ok(None),
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_lowercase()
}

/// The address of the interface that the default route leaves by; connecting a UDP socket sends nothing.
fn reachable_address(bind: IpAddr) -> IpAddr {
    if !bind.is_unspecified() {
        return bind;
    }
    let documentation_net = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let found = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect(documentation_net).and_then(|()| socket.local_addr()));
    found.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        assert_eq!(port_range("30000-32767").expect("a range"), 30000..=32767);
        assert!(port_range("5-1").is_err());
        assert_eq!(first_address("10.96.0.0/16".parse().expect("a network")).to_string(), "10.96.0.1");
    }

    #[test]
    fn only_node_and_rbac_authorize() {
        assert!(check_modes(&["RBAC".into(), "Node".into()]).is_ok());
        assert!(check_modes(&["AlwaysAllow".into()]).is_err());
    }
}
