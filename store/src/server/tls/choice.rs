//! `--tls-min-version`, `--tls-max-version` and `--cipher-suites`.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{SupportedProtocolVersion, version};

use super::TlsError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsChoice {
    pub min: TlsVersion,
    pub max: TlsVersion,
    /// For TLS 1.2, by their IANA names. Empty: all that are supported.
    pub suites: Vec<String>,
}

static ONLY_12: &[&SupportedProtocolVersion] = &[&version::TLS12];
static ONLY_13: &[&SupportedProtocolVersion] = &[&version::TLS13];
static BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

impl Default for TlsChoice {
    fn default() -> Self {
        TlsChoice { min: TlsVersion::Tls12, max: TlsVersion::Tls13, suites: Vec::new() }
    }
}

impl TlsChoice {
    pub fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        match (self.min, self.max) {
            (TlsVersion::Tls12, TlsVersion::Tls12) => ONLY_12,
            (TlsVersion::Tls13, _) => ONLY_13,
            (TlsVersion::Tls12, TlsVersion::Tls13) => BOTH,
        }
    }

    /// As in etcd the suites of TLS 1.3 are not a matter of choice.
    pub fn provider(&self) -> Result<Arc<CryptoProvider>, TlsError> {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if self.suites.is_empty() {
            return Ok(Arc::new(provider));
        }
        let is_new = |suite: &rustls::SupportedCipherSuite| suite.version() == &version::TLS13;
        let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
        for wanted in &self.suites {
            let old: Vec<String> =
                provider.cipher_suites.iter().filter(|suite| !is_new(suite)).map(name).collect();
            if !old.contains(wanted) {
                return Err(TlsError::Suite { name: wanted.clone(), known: old.join(", ") });
            }
        }
        provider.cipher_suites.retain(|suite| is_new(suite) || self.suites.contains(&name(suite)));
        Ok(Arc::new(provider))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_the_names_that_etcd_takes() {
        let choice = |name: &str| TlsChoice { suites: vec![name.to_owned()], ..TlsChoice::default() };
        let some = choice("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256").provider().expect("known");
        assert!(some.cipher_suites.iter().any(|suite| suite.version() == &version::TLS13));
        let all = TlsChoice::default().provider().expect("all");
        assert!(some.cipher_suites.len() < all.cipher_suites.len());
        let refused = choice("TLS_RSA_WITH_AES_128_CBC_SHA").provider().expect_err("not safe").to_string();
        assert!(refused.contains("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), "{refused}");
    }
}
