//! What a configuration must not say: one sentence for each mistake, before anything is touched.

use std::collections::{BTreeMap, BTreeSet};

use super::url::join;
use super::{Config, PemFiles, Url};
use crate::auth::token::TokenOptionsError;
use crate::flags::file::FileError;
use crate::server::tls::TlsVersion;

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
    #[error(
        "--{flag}: {url:?} is not a URL of the form http://host:port, https://host:port, unix://path or unixs://path"
    )]
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
        let mut seen = BTreeSet::new();
        match self.initial_cluster.values().flatten().find(|url| !seen.insert(*url)) {
            Some(shared) => Err(ConfigError::SharedUrl(shared.to_string())),
            None => Ok(()),
        }
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
