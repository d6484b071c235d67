//! What a member was told to be, checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::{limits, membership};

/// Everything that [`crate::run`] needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    pub name: String,
    pub data_dir: PathBuf,
    pub listen_client_urls: Vec<Url>,
    pub advertise_client_urls: Vec<Url>,
    pub listen_peer_urls: Vec<Url>,
    pub initial_advertise_peer_urls: Vec<Url>,
    /// Peer URLs by member name.
    pub initial_cluster: BTreeMap<String, Vec<Url>>,
    pub initial_cluster_token: String,
    /// `--initial-cluster-state=existing`.
    pub joins_existing_cluster: bool,
    /// Start from the data directory as the only member of the cluster.
    pub force_new_cluster: bool,
    pub strict_reconfig_check: bool,
    pub max_learners: u64,
    pub pre_vote: bool,
    pub heartbeat_interval: Duration,
    pub election_timeout: Duration,
    pub snapshot_count: u64,
    pub max_request_bytes: usize,
    pub max_txn_ops: usize,
    pub log_level: String,
    pub client_tls: PemFiles,
    pub peer_tls: PemFiles,
}

/// etcd's defaults: one member on this machine.
impl Default for Config {
    fn default() -> Self {
        let url = |port| Url { tls: false, host: "localhost".to_owned(), port };
        let name = "default".to_owned();
        Config {
            data_dir: PathBuf::from(format!("{name}.etcd")),
            listen_client_urls: vec![url(2379)],
            advertise_client_urls: vec![url(2379)],
            listen_peer_urls: vec![url(2380)],
            initial_advertise_peer_urls: vec![url(2380)],
            initial_cluster: BTreeMap::from([(name.clone(), vec![url(2380)])]),
            name,
            initial_cluster_token: "etcd-cluster".to_owned(),
            joins_existing_cluster: false,
            force_new_cluster: false,
            strict_reconfig_check: true,
            max_learners: 1,
            pre_vote: true,
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_millis(1000),
            snapshot_count: limits::DEFAULT_SNAPSHOT_COUNT,
            max_request_bytes: limits::DEFAULT_MAX_REQUEST_BYTES as usize,
            max_txn_ops: limits::DEFAULT_MAX_TXN_OPS as usize,
            log_level: "info".to_owned(),
            client_tls: PemFiles::default(),
            peer_tls: PemFiles::default(),
        }
    }
}

/// Files of one side's TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PemFiles {
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub trusted_ca: Option<PathBuf>,
    pub require_client_cert: bool,
}

/// `http://host:port` or `https://host:port`, nothing behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    pub tls: bool,
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Url {
    /// What a listener binds: the address without brackets.
    pub fn bind_address(&self) -> (String, u16) {
        (self.host.trim_start_matches('[').trim_end_matches(']').to_owned(), self.port)
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("--{flag}: {url:?} is not a URL of the form http://host:port or https://host:port")]
    Url { flag: &'static str, url: String },
    #[error("--{flag} is empty")]
    Empty { flag: &'static str },
    #[error("--initial-cluster: {0:?} is not of the form name=url")]
    ClusterPart(String),
    #[error("--initial-cluster does not name this member, {name:?}, with the peer URLs {advertised}")]
    NotInCluster { name: String, advertised: String },
    #[error("--initial-cluster gives {0} to two members")]
    SharedUrl(String),
    #[error(
        "--election-timeout ({election_ms} ms) must be at least five times --heartbeat-interval ({heartbeat_ms} ms)"
    )]
    ElectionTooShort { election_ms: u128, heartbeat_ms: u128 },
    #[error("--election-timeout ({0} ms) must not be over 50000 ms")]
    ElectionTooLong(u128),
    #[error(
        "--listen-{side}-urls has an https:// URL but --{prefix}cert-file and --{prefix}key-file are not both given"
    )]
    NoCertificate { side: &'static str, prefix: &'static str },
    #[error("--{prefix}client-cert-auth needs --{prefix}trusted-ca-file")]
    NoTrustedCa { prefix: &'static str },
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.validate_cluster()?;
        let (election_ms, heartbeat_ms) =
            (self.election_timeout.as_millis(), self.heartbeat_interval.as_millis());
        if election_ms < 5 * heartbeat_ms {
            return Err(ConfigError::ElectionTooShort { election_ms, heartbeat_ms });
        }
        if election_ms > 50_000 {
            return Err(ConfigError::ElectionTooLong(election_ms));
        }
        validate_tls(&self.listen_client_urls, &self.client_tls, "client", "")?;
        validate_tls(&self.listen_peer_urls, &self.peer_tls, "peer", "peer-")
    }

    fn validate_cluster(&self) -> Result<(), ConfigError> {
        let sorted = |urls: &[Url]| {
            let mut urls = urls.to_vec();
            urls.sort();
            urls
        };
        let advertised = sorted(&self.initial_advertise_peer_urls);
        let named = self.initial_cluster.get(&self.name).map(|urls| sorted(urls));
        if named.as_ref() != Some(&advertised) {
            let advertised = join(&advertised);
            return Err(ConfigError::NotInCluster { name: self.name.clone(), advertised });
        }
        let mut seen = std::collections::BTreeSet::new();
        match self.initial_cluster.values().flatten().find(|url| !seen.insert(*url)) {
            Some(shared) => Err(ConfigError::SharedUrl(shared.to_string())),
            None => Ok(()),
        }
    }

    /// Equal on all members: made of the member's peer URLs and the cluster's token.
    pub fn member_id(&self, name: &str) -> u64 {
        let urls: Vec<String> =
            self.initial_cluster.get(name).into_iter().flatten().map(ToString::to_string).collect();
        membership::member_id(&urls, &self.initial_cluster_token)
    }

    pub fn own_id(&self) -> u64 {
        self.member_id(&self.name)
    }

    /// Equal on all members: made of all member ids.
    pub fn cluster_id(&self) -> u64 {
        membership::cluster_id(self.initial_cluster.keys().map(|name| self.member_id(name)))
    }
}

fn validate_tls(
    urls: &[Url],
    files: &PemFiles,
    side: &'static str,
    prefix: &'static str,
) -> Result<(), ConfigError> {
    let complete = files.cert.is_some() && files.key.is_some();
    if urls.iter().any(|url| url.tls) && !complete {
        return Err(ConfigError::NoCertificate { side, prefix });
    }
    if files.require_client_cert && files.trusted_ca.is_none() {
        return Err(ConfigError::NoTrustedCa { prefix });
    }
    Ok(())
}

pub fn join(urls: &[Url]) -> String {
    urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Splits a list of URLs at its commas.
pub fn parse_urls(flag: &'static str, list: &str) -> Result<Vec<Url>, ConfigError> {
    let urls: Vec<Url> = list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| parse_url(flag, part))
        .collect::<Result<_, _>>()?;
    if urls.is_empty() { Err(ConfigError::Empty { flag }) } else { Ok(urls) }
}

fn parse_url(flag: &'static str, text: &str) -> Result<Url, ConfigError> {
    let bad = || ConfigError::Url { flag, url: text.to_owned() };
    let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| bad())?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(bad()),
    };
    let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else { return Err(bad()) };
    if uri.path().len() > 1 || uri.query().is_some() {
        return Err(bad());
    }
    Ok(Url { tls, host: host.to_owned(), port })
}

/// Splits `name=url,name=url,…`; a member with several URLs is named several times.
pub fn parse_initial_cluster(text: &str) -> Result<BTreeMap<String, Vec<Url>>, ConfigError> {
    let mut members: BTreeMap<String, Vec<Url>> = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let bad = || ConfigError::ClusterPart(part.to_owned());
        let (name, url) = part.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(bad)?;
        members.entry(name.to_owned()).or_default().push(parse_url("initial-cluster", url)?);
    }
    if members.is_empty() { Err(ConfigError::Empty { flag: "initial-cluster" }) } else { Ok(members) }
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
