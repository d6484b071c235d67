//! What a member was told to be, checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::ctl::duration;
use crate::flags::file::FileError;
use crate::server::auto_compaction::Retention;
use crate::server::tls::{TlsChoice, TlsVersion};
use crate::{limits, membership};

use crate::auth::TokenOptions;
use crate::auth::token::TokenOptionsError;

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
    pub tls: TlsChoice,
    pub serving: Serving,
    pub maintenance: Maintenance,
    pub access: Access,
}

/// How clients prove who they are.
#[derive(Debug, Clone)]
pub struct Access {
    pub tokens: TokenOptions,
    /// Of a simple token, after its last use.
    pub token_ttl: Duration,
    pub bcrypt_cost: u32,
}

/// etcd's defaults.
impl Default for Access {
    fn default() -> Self {
        Access {
            tokens: TokenOptions::Simple,
            token_ttl: limits::DEFAULT_TOKEN_TTL,
            bcrypt_cost: limits::DEFAULT_BCRYPT_COST,
        }
    }
}

/// How the ports serve.
#[derive(Debug, Clone)]
pub struct Serving {
    /// Given, they alone serve pages to clients.
    pub http_urls: Vec<Url>,
    pub metrics_urls: Vec<Url>,
    pub max_concurrent_streams: u32,
    pub ping_interval: Option<Duration>,
    pub ping_timeout: Duration,
    pub reuse_port: bool,
    pub cors: Vec<String>,
    pub host_whitelist: Vec<String>,
    pub extensive_metrics: bool,
    /// JSON below `/v3`.
    pub gateway: bool,
    pub slow_request: Duration,
    pub slow_apply: Duration,
    pub watch_progress_interval: Duration,
    pub catch_up_entries: u64,
}

/// etcd's defaults.
impl Default for Serving {
    fn default() -> Self {
        Serving {
            http_urls: Vec::new(),
            metrics_urls: Vec::new(),
            max_concurrent_streams: u32::MAX,
            ping_interval: Some(Duration::from_secs(2 * 60 * 60)),
            ping_timeout: Duration::from_secs(20),
            reuse_port: false,
            cors: vec!["*".to_owned()],
            host_whitelist: vec!["*".to_owned()],
            extensive_metrics: false,
            gateway: true,
            slow_request: Duration::from_millis(300),
            slow_apply: Duration::from_millis(100),
            watch_progress_interval: Duration::from_secs(10 * 60),
            catch_up_entries: limits::MAX_CATCH_UP_ENTRIES,
        }
    }
}

/// What a member does by itself to stay healthy. The default is etcd's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// 0: the default; negative: without bound.
    pub quota_backend_bytes: i64,
    pub auto_compaction: Option<Retention>,
    /// Compare with the peers before serving.
    pub initial_corrupt_check: bool,
    /// How often the leader compares the members' hashes.
    pub corrupt_check_interval: Option<Duration>,
    /// How often the leader compares their hashes of compactions.
    pub compact_hash_check_interval: Option<Duration>,
}

impl Maintenance {
    /// Negative: without bound.
    pub fn quota_bytes(&self) -> i64 {
        if self.quota_backend_bytes == 0 { limits::DEFAULT_QUOTA_BYTES } else { self.quota_backend_bytes }
    }
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
            tls: TlsChoice::default(),
            serving: Serving::default(),
            maintenance: Maintenance::default(),
            access: Access::default(),
        }
    }
}

/// Files of one side's TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PemFiles {
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// To call others with; the server's own pair if not given.
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub trusted_ca: Option<PathBuf>,
    pub require_client_cert: bool,
    pub crl: Option<PathBuf>,
    /// Names of which a client's certificate must have one; none: any.
    pub allowed_cns: Vec<String>,
    pub allowed_hostnames: Vec<String>,
    /// Given, a member without a certificate makes one.
    pub self_signed_years: Option<u32>,
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

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("--peer-cert-allowed-cn and --peer-cert-allowed-hostname exclude one another")]
    TwoKindsOfNames,
    #[error(
        "--{prefix}cert-allowed names need --{prefix}client-cert-auth, or nobody is asked for a certificate"
    )]
    NamesWithoutAuth { prefix: &'static str },
    #[error("--tls-min-version is newer than --tls-max-version")]
    TlsVersions,
    #[error("--cipher-suites have no effect without TLS 1.2: leave them out, or --tls-min-version")]
    SuitesWithoutTls12,
    #[error(
        "the peer URLs are https:// but --peer-trusted-ca-file is not given: nobody vouches for the peers' certificates"
    )]
    NoPeerCa,
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
    #[error("--auto-compaction-retention: {0:?} is neither a number nor a duration such as 30m")]
    Retention(String),
    #[error(
        "--auto-compaction-retention: {0:?} is not a number of revisions, which the mode `revision` keeps"
    )]
    RevisionRetention(String),
    #[error(transparent)]
    AuthToken(#[from] TokenOptionsError),
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
        validate_tls(&self.serving.http_urls, &self.client_tls, "client-http", "")?;
        validate_tls(&self.serving.metrics_urls, &self.client_tls, "metrics", "")?;
        validate_tls(&self.listen_peer_urls, &self.peer_tls, "peer", "peer-")?;
        self.validate_peer_tls()?;
        self.validate_choice()
    }

    fn validate_peer_tls(&self) -> Result<(), ConfigError> {
        let files = &self.peer_tls;
        if !files.allowed_cns.is_empty() && !files.allowed_hostnames.is_empty() {
            return Err(ConfigError::TwoKindsOfNames);
        }
        let has_others = self.initial_cluster.len() > 1;
        let calls_tls = self.initial_cluster.values().flatten().any(|url| url.tls);
        if has_others && calls_tls && files.trusted_ca.is_none() && files.self_signed_years.is_none() {
            return Err(ConfigError::NoPeerCa);
        }
        Ok(())
    }

    fn validate_choice(&self) -> Result<(), ConfigError> {
        if self.tls.min > self.tls.max {
            return Err(ConfigError::TlsVersions);
        }
        if self.tls.min > TlsVersion::Tls12 && !self.tls.suites.is_empty() {
            return Err(ConfigError::SuitesWithoutTls12);
        }
        Ok(())
    }

    fn validate_cluster(&self) -> Result<(), ConfigError> {
        check_named(&self.name, &self.initial_cluster, &self.initial_advertise_peer_urls)?;
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

/// The member must be in its own cluster, with the peer URLs that it advertises.
pub fn check_named(
    name: &str,
    initial_cluster: &BTreeMap<String, Vec<Url>>,
    advertised: &[Url],
) -> Result<(), ConfigError> {
    let sorted = |urls: &[Url]| {
        let mut urls = urls.to_vec();
        urls.sort();
        urls
    };
    let advertised = sorted(advertised);
    if initial_cluster.get(name).map(|urls| sorted(urls)).as_ref() == Some(&advertised) {
        return Ok(());
    }
    Err(ConfigError::NotInCluster { name: name.to_owned(), advertised: join(&advertised) })
}

fn validate_tls(
    urls: &[Url],
    files: &PemFiles,
    side: &'static str,
    prefix: &'static str,
) -> Result<(), ConfigError> {
    let complete = (files.cert.is_some() && files.key.is_some()) || files.self_signed_years.is_some();
    if urls.iter().any(|url| url.tls) && !complete {
        return Err(ConfigError::NoCertificate { side, prefix });
    }
    let names = !files.allowed_cns.is_empty() || !files.allowed_hostnames.is_empty();
    if names && !files.require_client_cert {
        return Err(ConfigError::NamesWithoutAuth { prefix });
    }
    if files.require_client_cert && files.trusted_ca.is_none() && files.self_signed_years.is_none() {
        return Err(ConfigError::NoTrustedCa { prefix });
    }
    Ok(())
}

pub fn join(urls: &[Url]) -> String {
    urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// What `--auto-compaction-mode` and `--auto-compaction-retention` say; `None`: nothing is compacted. A number without a
/// unit is hours, or revisions.
pub fn parse_retention(mode: AutoCompactionMode, text: &str) -> Result<Option<Retention>, ConfigError> {
    let number = text.parse::<u32>().ok();
    match mode {
        AutoCompactionMode::Revision => {
            let keep = number.ok_or_else(|| ConfigError::RevisionRetention(text.to_owned()))?;
            Ok((keep > 0).then_some(Retention::Revisions(i64::from(keep))))
        }
        AutoCompactionMode::Periodic => {
            let period = match number {
                Some(hours) => Duration::from_secs(u64::from(hours) * 60 * 60),
                None => duration::parse(text).map_err(|_| ConfigError::Retention(text.to_owned()))?,
            };
            Ok((period > Duration::ZERO).then_some(Retention::Periodic(period)))
        }
    }
}

/// What `--auto-compaction-retention` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AutoCompactionMode {
    Periodic,
    Revision,
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
