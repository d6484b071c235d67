//! Flags of every command, each also an `ETCDCTL_…` variable.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::connect::Identity;
use super::failure::{BAD_FEATURE, Failure};
use super::{duration, terminal};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Flags {
    /// gRPC endpoints
    #[arg(
        long,
        global = true,
        env = "ETCDCTL_ENDPOINTS",
        value_delimiter = ',',
        default_value = "127.0.0.1:2379"
    )]
    pub endpoints: Vec<String>,
    /// Domain name to query for SRV records describing cluster endpoints; not offered: give --endpoints
    #[arg(short, long, global = true, env = "ETCDCTL_DISCOVERY_SRV", default_value = "")]
    pub discovery_srv: String,
    /// Service name to query when using DNS discovery; not offered: give --endpoints
    #[arg(long, global = true, env = "ETCDCTL_DISCOVERY_SRV_NAME", default_value = "")]
    pub discovery_srv_name: String,
    /// Accept insecure SRV records describing cluster endpoints; as there is no discovery, it has nothing to decide
    #[arg(
        long,
        global = true,
        env = "ETCDCTL_INSECURE_DISCOVERY",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true"
    )]
    pub insecure_discovery: bool,
    /// Verify certificates of TLS-enabled secure servers using this CA bundle
    #[arg(long, global = true, env = "ETCDCTL_CACERT")]
    pub cacert: Option<PathBuf>,
    /// Identify secure client using this TLS certificate file
    #[arg(long, global = true, env = "ETCDCTL_CERT")]
    pub cert: Option<PathBuf>,
    /// Identify secure client using this TLS key file
    #[arg(long, global = true, env = "ETCDCTL_KEY")]
    pub key: Option<PathBuf>,
    /// Disable transport security for endpoints without a scheme
    #[arg(
        long,
        global = true,
        env = "ETCDCTL_INSECURE_TRANSPORT",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true"
    )]
    pub insecure_transport: bool,
    /// Skip server certificate verification (CAUTION: this option should be enabled only for testing purposes)
    #[arg(long, global = true, env = "ETCDCTL_INSECURE_SKIP_TLS_VERIFY")]
    pub insecure_skip_tls_verify: bool,
    /// username[:password] for authentication (prompt if password is not supplied)
    #[arg(long, global = true, env = "ETCDCTL_USER")]
    pub user: Option<String>,
    /// Password for authentication (if this option is used, --user option shouldn't include password)
    #[arg(long, global = true, env = "ETCDCTL_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Signed token to show in place of what --user and --password would get
    #[arg(long, global = true, env = "ETCDCTL_AUTH_JWT_TOKEN", hide_env_values = true)]
    pub auth_jwt_token: Option<String>,
    /// Dial timeout for client connections
    #[arg(long, global = true, env = "ETCDCTL_DIAL_TIMEOUT", default_value = "2s", value_parser = duration::parse)]
    pub dial_timeout: Duration,
    /// Timeout for short running command (excluding dial timeout)
    #[arg(long, global = true, env = "ETCDCTL_COMMAND_TIMEOUT", default_value = "5s", value_parser = duration::parse)]
    pub command_timeout: Duration,
    /// Keepalive time for client connections
    #[arg(long, global = true, env = "ETCDCTL_KEEPALIVE_TIME", default_value = "2s", value_parser = duration::parse)]
    pub keepalive_time: Duration,
    /// Keepalive timeout for client connections
    #[arg(long, global = true, env = "ETCDCTL_KEEPALIVE_TIMEOUT", default_value = "6s", value_parser = duration::parse)]
    pub keepalive_timeout: Duration,
    /// Client-side request send limit in bytes (if 0, it defaults to 2.0 MiB)
    #[arg(long, global = true, env = "ETCDCTL_MAX_REQUEST_BYTES", default_value_t = 0)]
    pub max_request_bytes: usize,
    /// Client-side response receive limit in bytes (if 0, there is none)
    #[arg(long, global = true, env = "ETCDCTL_MAX_RECV_BYTES", default_value_t = 0)]
    pub max_recv_bytes: usize,
    /// Say on stderr what the client does: which endpoint answers, which does not, and why
    #[arg(long, global = true, env = "ETCDCTL_DEBUG")]
    pub debug: bool,
    /// Set the output format (fields, json, protobuf, simple, table)
    #[arg(
        short = 'w',
        long = "write-out",
        global = true,
        env = "ETCDCTL_WRITE_OUT",
        default_value = "simple"
    )]
    pub write_out: String,
    /// Print byte strings as hex encoded strings
    #[arg(long, global = true, env = "ETCDCTL_HEX")]
    pub hex: bool,
    /// Who asks; known once [`Flags::resolve`] has run.
    #[arg(skip)]
    pub identity: Option<Identity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Fields,
    Json,
    Protobuf,
    Simple,
    Table,
}

impl Flags {
    /// Refuses what cannot be done, and asks for a password that is missing.
    pub fn resolve(&mut self) -> Result<(), Failure> {
        self.parse_format()?;
        if !self.discovery_srv.is_empty() || !self.discovery_srv_name.is_empty() {
            return Err(Failure::bad_args(
                "--discovery-srv is not offered: look the SRV records up and give the addresses as --endpoints",
            ));
        }
        let is_given = |flag: &Option<String>| flag.as_ref().is_some_and(|value| !value.is_empty());
        if is_given(&self.auth_jwt_token) && (is_given(&self.user) || is_given(&self.password)) {
            return Err(Failure::bad_args(
                "--auth-jwt-token cannot be set with --user or --password, choose one",
            ));
        }
        self.identity = identity(self.user.as_deref(), self.password.as_deref(), "Password: ")?;
        Ok(())
    }

    fn parse_format(&self) -> Result<Format, Failure> {
        match self.write_out.as_str() {
            "fields" => Ok(Format::Fields),
            "json" => Ok(Format::Json),
            "protobuf" => Ok(Format::Protobuf),
            "simple" => Ok(Format::Simple),
            "table" => Ok(Format::Table),
            _ => Err(Failure::new(BAD_FEATURE, "unsupported output format")),
        }
    }

    pub fn format(&self) -> Format {
        self.parse_format().expect("resolve refused any other word")
    }
}

/// The name and password of `--user` and `--password`, or of their `--dest-` twins.
pub fn identity(
    user: Option<&str>,
    password: Option<&str>,
    prompt: &str,
) -> Result<Option<Identity>, Failure> {
    let Some(user) = user.filter(|user| !user.is_empty()) else { return Ok(None) };
    let (name, password) = match (password.filter(|password| !password.is_empty()), user.split_once(':')) {
        (Some(password), _) => (user.to_owned(), password.to_owned()),
        (None, Some((name, password))) => (name.to_owned(), password.to_owned()),
        (None, None) => (user.to_owned(), terminal::ask_secret(prompt)?),
    };
    Ok(Some(Identity { name, password }))
}
