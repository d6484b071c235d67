//! The command line of a store member: etcd's flags, names and `ETCD_*` environment. See [`crate::flags`] for the rest.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;

use crate::config::{
    AutoCompactionMode, Config, ConfigError, Maintenance, parse_initial_cluster, parse_retention, parse_urls,
};
use crate::ctl::duration;
use crate::flags::{AccessFlags, LogFlags, OlderNames, Refused, ServingFlags, TlsFlags, file, gates};
use crate::limits;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// First, since it looks at all that was given, and reading takes that away.
    #[command(flatten)]
    pub refused: Refused,

    /// Human-readable name of this member.
    #[arg(long, env = "ETCD_NAME", default_value = "default")]
    pub name: String,

    /// Where the member keeps its data; `<name>.etcd` in the working directory if not given.
    #[arg(long, env = "ETCD_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// URLs to serve clients on. The scheme decides about TLS.
    #[arg(long, env = "ETCD_LISTEN_CLIENT_URLS", default_value = "http://localhost:2379")]
    pub listen_client_urls: String,

    /// URLs that clients are told; the listen URLs if not given.
    #[arg(long, env = "ETCD_ADVERTISE_CLIENT_URLS")]
    pub advertise_client_urls: Option<String>,

    /// URLs to serve the other members on.
    #[arg(long, env = "ETCD_LISTEN_PEER_URLS", default_value = "http://localhost:2380")]
    pub listen_peer_urls: String,

    /// This member's peer URLs, as the initial cluster names them.
    #[arg(long, env = "ETCD_INITIAL_ADVERTISE_PEER_URLS", default_value = "http://localhost:2380")]
    pub initial_advertise_peer_urls: String,

    /// The members of the new cluster: `name=url,name=url,…`; this member alone if not given.
    #[arg(long, env = "ETCD_INITIAL_CLUSTER")]
    pub initial_cluster: Option<String>,

    /// Whether a member without data makes a new cluster, or joins one that knows it already.
    #[arg(long, env = "ETCD_INITIAL_CLUSTER_STATE", default_value = "new",
          value_parser = PossibleValuesParser::new(["new", "existing"]))]
    pub initial_cluster_state: String,

    /// Start from the data directory as the only member: for a cluster that has lost its majority for good.
    #[arg(long, env = "ETCD_FORCE_NEW_CLUSTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub force_new_cluster: bool,

    /// Refuse changes of the membership that could cost the cluster its majority.
    #[arg(long, env = "ETCD_STRICT_RECONFIG_CHECK", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    pub strict_reconfig_check: bool,

    /// Most learners at a time; 0 for no bound.
    #[arg(long, env = "ETCD_MAX_LEARNERS", default_value_t = 1)]
    pub max_learners: u64,

    /// Ask whether an election could be won before it is begun.
    #[arg(long, env = "ETCD_PRE_VOTE", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    pub pre_vote: bool,

    /// Sets apart clusters with the same URLs.
    #[arg(long, env = "ETCD_INITIAL_CLUSTER_TOKEN", default_value = "etcd-cluster")]
    pub initial_cluster_token: String,

    /// Milliseconds between two heartbeats of the leader.
    #[arg(long, env = "ETCD_HEARTBEAT_INTERVAL", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub heartbeat_interval: u64,

    /// Milliseconds without a leader after which a member stands for election.
    #[arg(long, env = "ETCD_ELECTION_TIMEOUT", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub election_timeout: u64,

    /// Applied entries after which the log may be cut.
    #[arg(long, env = "ETCD_SNAPSHOT_COUNT", default_value_t = limits::DEFAULT_SNAPSHOT_COUNT,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_count: u64,

    /// Largest client request, bytes.
    #[arg(long, env = "ETCD_MAX_REQUEST_BYTES", default_value_t = limits::DEFAULT_MAX_REQUEST_BYTES,
          value_parser = clap::value_parser!(u64).range(1..=32 * 1024 * 1024))]
    pub max_request_bytes: u64,

    /// Most compares or operations in one branch of a transaction.
    #[arg(long, env = "ETCD_MAX_TXN_OPS", default_value_t = limits::DEFAULT_MAX_TXN_OPS)]
    pub max_txn_ops: u64,

    /// Bytes of data after which writes are refused until room is made; 0: 2 GiB; negative: without bound.
    #[arg(long, env = "ETCD_QUOTA_BACKEND_BYTES", default_value_t = 0, allow_negative_numbers = true)]
    pub quota_backend_bytes: i64,

    /// Whether --auto-compaction-retention counts time or revisions.
    #[arg(long, env = "ETCD_AUTO_COMPACTION_MODE", default_value = "periodic")]
    pub auto_compaction_mode: AutoCompactionMode,

    /// How much history to keep: hours, a duration such as 30m, or a number of revisions; 0: all.
    #[arg(long, env = "ETCD_AUTO_COMPACTION_RETENTION", default_value = "0")]
    pub auto_compaction_retention: String,

    /// How often the leader compares the members' data; 0: never.
    #[arg(long, env = "ETCD_CORRUPT_CHECK_TIME", default_value = "0s",
          value_parser = duration::parse)]
    pub corrupt_check_time: Duration,

    /// How often the leader compares what compactions left on the members, if the gate CompactHashCheck is on.
    #[arg(long, env = "ETCD_COMPACT_HASH_CHECK_TIME",
          default_value = "1m", value_parser = duration::parse)]
    pub compact_hash_check_time: Duration,

    /// What is logged.
    #[arg(long, env = "ETCD_LOG_LEVEL", default_value = "info",
          value_parser = PossibleValuesParser::new(["debug", "info", "warn", "error", "panic", "fatal"]))]
    pub log_level: String,

    /// Switches of etcd's features, `Name=true,…`.
    #[arg(long, env = "ETCD_FEATURE_GATES", default_value = "", value_parser = gates::parse)]
    pub feature_gates: String,

    /// The older name of the gate InitialCorruptCheck: manifests of kubeadm give it.
    #[arg(long, env = "ETCD_EXPERIMENTAL_INITIAL_CORRUPT_CHECK", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, hide = true)]
    pub experimental_initial_corrupt_check: bool,

    /// The older name of the gate CompactHashCheck.
    #[arg(long, env = "ETCD_EXPERIMENTAL_COMPACT_HASH_CHECK_ENABLED", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, hide = true)]
    pub experimental_compact_hash_check_enabled: bool,

    /// A YAML file with all settings; flags and `ETCD_*` variables do not count beside it.
    #[arg(long, env = "ETCD_CONFIG_FILE")]
    pub config_file: Option<PathBuf>,

    /// Print which version of etcd this stands in for, and exit.
    #[arg(long)]
    pub version: bool,

    #[command(flatten)]
    pub log: LogFlags,

    #[command(flatten)]
    pub serving: ServingFlags,

    #[command(flatten)]
    pub tls: TlsFlags,

    #[command(flatten)]
    pub access: AccessFlags,

    /// Last, since it names what is there.
    #[command(flatten)]
    pub older_names: OlderNames,
}

impl Args {
    /// The settings of `--config-file` if there is one, these otherwise.
    pub fn resolve(self) -> Result<Args, ConfigError> {
        match &self.config_file {
            Some(path) => Ok(Args { config_file: None, ..file::read(path)? }),
            None => Ok(self),
        }
    }

    /// What must have been [resolved](Args::resolve).
    pub fn into_config(self) -> Result<Config, ConfigError> {
        let listen_client_urls = parse_urls("listen-client-urls", &self.listen_client_urls)?;
        let advertise = self.advertise_client_urls.as_ref().unwrap_or(&self.listen_client_urls);
        let advertise_client_urls = parse_urls("advertise-client-urls", advertise)?;
        let initial_cluster = self
            .initial_cluster
            .unwrap_or_else(|| own_cluster(&self.name, &self.initial_advertise_peer_urls));
        let config = Config {
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from(format!("{}.etcd", self.name))),
            name: self.name,
            listen_client_urls,
            advertise_client_urls,
            listen_peer_urls: parse_urls("listen-peer-urls", &self.listen_peer_urls)?,
            initial_advertise_peer_urls: parse_urls(
                "initial-advertise-peer-urls",
                &self.initial_advertise_peer_urls,
            )?,
            initial_cluster: parse_initial_cluster(&initial_cluster)?,
            initial_cluster_token: self.initial_cluster_token,
            joins_existing_cluster: self.initial_cluster_state == "existing",
            force_new_cluster: self.force_new_cluster,
            strict_reconfig_check: self.strict_reconfig_check,
            max_learners: self.max_learners,
            pre_vote: self.pre_vote,
            heartbeat_interval: std::time::Duration::from_millis(self.heartbeat_interval),
            election_timeout: std::time::Duration::from_millis(self.election_timeout),
            snapshot_count: self.snapshot_count,
            max_request_bytes: usize::try_from(self.max_request_bytes).unwrap_or(usize::MAX),
            max_txn_ops: usize::try_from(self.max_txn_ops).unwrap_or(usize::MAX),
            log_level: self.log_level,
            client_tls: self.tls.client(),
            peer_tls: self.tls.peer(),
            tls: self.tls.choice(),
            serving: self.serving.serving()?,
            maintenance: Maintenance {
                quota_backend_bytes: self.quota_backend_bytes,
                auto_compaction: parse_retention(self.auto_compaction_mode, &self.auto_compaction_retention)?,
                initial_corrupt_check: self.experimental_initial_corrupt_check
                    || gates::is_on(&self.feature_gates, gates::INITIAL_CORRUPT_CHECK),
                corrupt_check_interval: Some(self.corrupt_check_time).filter(|time| !time.is_zero()),
                compact_hash_check_interval: (self.experimental_compact_hash_check_enabled
                    || gates::is_on(&self.feature_gates, gates::COMPACT_HASH_CHECK))
                .then_some(self.compact_hash_check_time),
            },
            access: self.access.access()?,
        };
        config.validate()?;
        Ok(config)
    }
}

fn own_cluster(name: &str, peer_urls: &str) -> String {
    peer_urls.split(',').map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",")
}
