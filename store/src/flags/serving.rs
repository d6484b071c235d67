//! How the ports serve, and what is told about it.

use std::time::Duration;

use clap::ArgAction;

use crate::config::{ConfigError, Serving, parse_urls};
use crate::ctl::duration;
use crate::limits;

#[derive(Debug, Clone, clap::Args)]
pub struct ServingFlags {
    /// URLs for plain HTTP alone: health, version, metrics. Given, the client URLs serve gRPC alone.
    #[arg(long, env = "ETCD_LISTEN_CLIENT_HTTP_URLS")]
    pub listen_client_http_urls: Option<String>,

    /// Further URLs for metrics and health.
    #[arg(long, env = "ETCD_LISTEN_METRICS_URLS")]
    pub listen_metrics_urls: Option<String>,

    /// Streams that one client connection may have open.
    #[arg(long, env = "ETCD_MAX_CONCURRENT_STREAMS", default_value_t = u32::MAX)]
    pub max_concurrent_streams: u32,

    /// Between two pings to a silent client; 0 for none.
    #[arg(long, env = "ETCD_GRPC_KEEPALIVE_INTERVAL", default_value = "2h", value_parser = duration::parse)]
    pub grpc_keepalive_interval: Duration,

    /// How long a client may take to answer a ping.
    #[arg(long, env = "ETCD_GRPC_KEEPALIVE_TIMEOUT", default_value = "20s", value_parser = duration::parse)]
    pub grpc_keepalive_timeout: Duration,

    /// Let another process bind the same ports (SO_REUSEPORT).
    #[arg(long, env = "ETCD_SOCKET_REUSE_PORT", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub socket_reuse_port: bool,

    /// Serve JSON below /v3 as well.
    #[arg(long, env = "ETCD_ENABLE_GRPC_GATEWAY", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    pub enable_grpc_gateway: bool,

    /// Origins whose pages may read the answers; `*` for any.
    #[arg(long, env = "ETCD_CORS", default_value = "*", value_delimiter = ',')]
    pub cors: Vec<String>,

    /// Host names that a request without TLS may name; `*` for any.
    #[arg(long, env = "ETCD_HOST_WHITELIST", default_value = "*", value_delimiter = ',')]
    pub host_whitelist: Vec<String>,

    /// Whether the metrics count how long each RPC takes.
    #[arg(long, env = "ETCD_METRICS", default_value = "basic", value_parser = ["basic", "extensive"])]
    pub metrics: String,

    /// A slower request is logged.
    #[arg(long, env = "ETCD_WARNING_UNARY_REQUEST_DURATION", default_value = "300ms", value_parser = duration::parse)]
    pub warning_unary_request_duration: Duration,

    /// A slower apply is logged and counted.
    #[arg(long, env = "ETCD_WARNING_APPLY_DURATION", default_value = "100ms", value_parser = duration::parse)]
    pub warning_apply_duration: Duration,

    /// Between two progress notifications of a silent watcher that wants them.
    #[arg(long, env = "ETCD_WATCH_PROGRESS_NOTIFY_INTERVAL", default_value = "10m", value_parser = duration::parse)]
    pub watch_progress_notify_interval: Duration,

    /// Entries kept behind a snapshot for followers that lag.
    #[arg(long, env = "ETCD_SNAPSHOT_CATCHUP_ENTRIES", default_value_t = limits::MAX_CATCH_UP_ENTRIES)]
    pub snapshot_catchup_entries: u64,
}

impl ServingFlags {
    pub fn serving(&self) -> Result<Serving, ConfigError> {
        let urls = |flag, list: &Option<String>| match list.as_deref() {
            None | Some("") => Ok(Vec::new()),
            Some(list) => parse_urls(flag, list),
        };
        Ok(Serving {
            http_urls: urls("listen-client-http-urls", &self.listen_client_http_urls)?,
            metrics_urls: urls("listen-metrics-urls", &self.listen_metrics_urls)?,
            max_concurrent_streams: self.max_concurrent_streams,
            ping_interval: Some(self.grpc_keepalive_interval).filter(|interval| !interval.is_zero()),
            ping_timeout: self.grpc_keepalive_timeout,
            reuse_port: self.socket_reuse_port,
            cors: self.cors.clone(),
            host_whitelist: self.host_whitelist.clone(),
            gateway: self.enable_grpc_gateway,
            extensive_metrics: self.metrics == "extensive",
            slow_request: self.warning_unary_request_duration,
            slow_apply: self.warning_apply_duration,
            watch_progress_interval: self
                .watch_progress_notify_interval
                .max(limits::MIN_WATCH_PROGRESS_INTERVAL),
            catch_up_entries: self.snapshot_catchup_entries,
        })
    }
}
