//! TLS of both ports.

use std::path::PathBuf;

use clap::ArgAction;

use crate::config::PemFiles;
use crate::server::tls::{TlsChoice, TlsVersion};

#[derive(Debug, Clone, clap::Args)]
pub struct TlsFlags {
    /// Certificate of the client server, PEM.
    #[arg(long, env = "ETCD_CERT_FILE")]
    pub cert_file: Option<PathBuf>,

    /// Key of the client server, PEM.
    #[arg(long, env = "ETCD_KEY_FILE")]
    pub key_file: Option<PathBuf>,

    /// Refuse clients without a certificate of the trusted CA.
    #[arg(long, env = "ETCD_CLIENT_CERT_AUTH", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, action = ArgAction::Set)]
    pub client_cert_auth: bool,

    /// CA of client certificates, PEM. Given, it turns client certificates on.
    #[arg(long, env = "ETCD_TRUSTED_CA_FILE")]
    pub trusted_ca_file: Option<PathBuf>,

    /// Revoked client certificates, PEM or DER.
    #[arg(long, env = "ETCD_CLIENT_CRL_FILE")]
    pub client_crl_file: Option<PathBuf>,

    /// Hostnames of which one must stand in a client's certificate; any if not given.
    #[arg(long, env = "ETCD_CLIENT_CERT_ALLOWED_HOSTNAME", value_delimiter = ',')]
    pub client_cert_allowed_hostname: Vec<String>,

    /// Serve clients with a certificate that the member makes for itself.
    #[arg(long, env = "ETCD_AUTO_TLS", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, action = ArgAction::Set)]
    pub auto_tls: bool,

    /// Certificate of this member among its peers, PEM.
    #[arg(long, env = "ETCD_PEER_CERT_FILE")]
    pub peer_cert_file: Option<PathBuf>,

    /// Its key, PEM.
    #[arg(long, env = "ETCD_PEER_KEY_FILE")]
    pub peer_key_file: Option<PathBuf>,

    /// Certificate to call peers with, PEM; that of the peer server if not given.
    #[arg(long, env = "ETCD_PEER_CLIENT_CERT_FILE")]
    pub peer_client_cert_file: Option<PathBuf>,

    /// Its key, PEM.
    #[arg(long, env = "ETCD_PEER_CLIENT_KEY_FILE")]
    pub peer_client_key_file: Option<PathBuf>,

    /// Refuse peers without a certificate of the peer CA.
    #[arg(long, env = "ETCD_PEER_CLIENT_CERT_AUTH", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub peer_client_cert_auth: bool,

    /// CA of peer certificates, PEM.
    #[arg(long, env = "ETCD_PEER_TRUSTED_CA_FILE")]
    pub peer_trusted_ca_file: Option<PathBuf>,

    /// Revoked peer certificates, PEM or DER.
    #[arg(long, env = "ETCD_PEER_CRL_FILE")]
    pub peer_crl_file: Option<PathBuf>,

    /// Common names of which one must stand in a peer's certificate; any if not given.
    #[arg(long, env = "ETCD_PEER_CERT_ALLOWED_CN", value_delimiter = ',')]
    pub peer_cert_allowed_cn: Vec<String>,

    /// Hostnames of which one must stand in a peer's certificate; any if not given.
    #[arg(long, env = "ETCD_PEER_CERT_ALLOWED_HOSTNAME", value_delimiter = ',')]
    pub peer_cert_allowed_hostname: Vec<String>,

    /// Let peers in from other hosts and addresses than those that their certificates name.
    #[arg(long, env = "ETCD_PEER_SKIP_CLIENT_SAN_VERIFICATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub peer_skip_client_san_verification: bool,

    /// Talk to peers with certificates that the members make for themselves.
    #[arg(long, env = "ETCD_PEER_AUTO_TLS", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, action = ArgAction::Set)]
    pub peer_auto_tls: bool,

    /// Years that a certificate of the member's own making is valid.
    #[arg(long, env = "ETCD_SELF_SIGNED_CERT_VALIDITY", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub self_signed_cert_validity: u32,

    /// Suites for TLS 1.2, by their IANA names; all that are safe if not given.
    #[arg(long, env = "ETCD_CIPHER_SUITES", value_delimiter = ',')]
    pub cipher_suites: Vec<String>,

    /// The oldest version that is spoken.
    #[arg(long, env = "ETCD_TLS_MIN_VERSION", default_value = "TLS1.2", value_parser = ["TLS1.2", "TLS1.3"])]
    pub tls_min_version: String,

    /// The newest version that is spoken; the newest there is if not given.
    #[arg(long, env = "ETCD_TLS_MAX_VERSION", value_parser = ["TLS1.2", "TLS1.3", ""])]
    pub tls_max_version: Option<String>,
}

impl TlsFlags {
    pub fn client(&self) -> PemFiles {
        PemFiles {
            cert: self.cert_file.clone(),
            key: self.key_file.clone(),
            client_cert: None,
            client_key: None,
            trusted_ca: self.trusted_ca_file.clone(),
            require_client_cert: self.client_cert_auth,
            crl: self.client_crl_file.clone(),
            allowed_cns: Vec::new(),
            allowed_hostnames: given(&self.client_cert_allowed_hostname),
            skip_client_san_verification: true,
            self_signed_years: self.auto_tls.then_some(self.self_signed_cert_validity),
        }
    }

    pub fn peer(&self) -> PemFiles {
        PemFiles {
            cert: self.peer_cert_file.clone(),
            key: self.peer_key_file.clone(),
            client_cert: self.peer_client_cert_file.clone(),
            client_key: self.peer_client_key_file.clone(),
            trusted_ca: self.peer_trusted_ca_file.clone(),
            require_client_cert: self.peer_client_cert_auth,
            crl: self.peer_crl_file.clone(),
            allowed_cns: given(&self.peer_cert_allowed_cn),
            allowed_hostnames: given(&self.peer_cert_allowed_hostname),
            skip_client_san_verification: self.peer_skip_client_san_verification,
            self_signed_years: self.peer_auto_tls.then_some(self.self_signed_cert_validity),
        }
    }

    pub fn choice(&self) -> TlsChoice {
        let version = |name: &str| if name == "TLS1.2" { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
        TlsChoice {
            min: version(&self.tls_min_version),
            max: self.tls_max_version.as_deref().map_or(TlsVersion::Tls13, version),
            suites: given(&self.cipher_suites),
        }
    }
}

/// An empty value in a manifest stands for none.
fn given(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}
