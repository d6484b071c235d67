//! How clients prove who they are, once access control is on.

use std::time::Duration;

use crate::auth::TokenOptions;
use crate::config::{Access, ConfigError};
use crate::limits;

#[derive(Debug, Clone, clap::Args)]
pub struct AccessFlags {
    /// Tokens of clients: `simple`, or `jwt,sign-method=…,pub-key=…,priv-key=…,ttl=5m`.
    #[arg(long, env = "ETCD_AUTH_TOKEN", default_value = "simple")]
    pub auth_token: String,

    /// Seconds that a simple token lives after its last use.
    #[arg(long, env = "ETCD_AUTH_TOKEN_TTL", default_value_t = limits::DEFAULT_TOKEN_TTL.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    pub auth_token_ttl: u64,

    /// Two to this power rounds of bcrypt for a password.
    #[arg(long, env = "ETCD_BCRYPT_COST", default_value_t = limits::DEFAULT_BCRYPT_COST,
          value_parser = clap::value_parser!(u32)
              .range(i64::from(limits::MIN_BCRYPT_COST)..=i64::from(limits::MAX_BCRYPT_COST)))]
    pub bcrypt_cost: u32,
}

impl AccessFlags {
    pub fn access(&self) -> Result<Access, ConfigError> {
        Ok(Access {
            tokens: TokenOptions::parse(&self.auth_token)?,
            token_ttl: Duration::from_secs(self.auth_token_ttl),
            bcrypt_cost: self.bcrypt_cost,
        })
    }
}
