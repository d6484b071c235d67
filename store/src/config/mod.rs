//! What a member was told to be. [`check`] says what it must not be told.

mod check;
mod retention;
mod url;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use check::{ConfigError, check_named};
pub use retention::{AutoCompactionMode, parse_retention};
pub use url::{Address, Url, join, parse_initial_cluster, parse_urls};

use crate::auth::TokenOptions;
use crate::server::auto_compaction::Retention;
use crate::server::tls::TlsChoice;
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
        let url = |port| Url::tcp("localhost", port);
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
    /// Among peers: a certificate that names hosts or addresses is good from elsewhere, too.
    pub skip_client_san_verification: bool,
    /// Given, a member without a certificate makes one.
    pub self_signed_years: Option<u32>,
}

impl Config {
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

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
