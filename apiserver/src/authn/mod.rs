//! Who is asking: client certificates, service account tokens, or nobody.
//!
//! In: the certificates of the TLS peer and the request's headers. Out: a [`User`], or the stock 401.
//! Order: a certificate that verifies wins; else a bearer token; else anonymous, and only for the few paths of
//! [`is_open_to_all`]. A credential that is presented but not good is a 401 even there. Impersonation
//! comes after authentication, since it is a question of rights ([`impersonate`]).

#[cfg(test)]
mod authn_test;
mod impersonate;
mod issuer;
mod keys;
mod review;
mod token;
mod token_request;
mod x509;

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use rustls::pki_types::CertificateDer;

pub use self::impersonate::{impersonate, is_impersonation};
pub use self::issuer::JWKS_CONTENT_TYPE;
pub use self::keys::{KeyError, TokenKeys};
pub use self::x509::{CaError, request_client_certificate};

use self::token::TokenVerifier;
use self::x509::CertificateVerifier;
use crate::cache::Reader;
use crate::error::ApiError;
use crate::request::{GROUP_AUTHENTICATED, User};

/// What the authenticator is built from.
pub struct AuthnConfig {
    /// CAs whose client certificates count (`--client-ca-file`), PEM, any number.
    pub client_ca_pem: String,
    /// `--service-account-signing-key-file` and `--service-account-key-file`.
    pub token_keys: TokenKeys,
    /// `--service-account-issuer`, usually `https://kubernetes.default.svc.cluster.local`.
    pub issuer: String,
    /// `--api-audiences`; empty means the issuer.
    pub api_audiences: Vec<String>,
    /// `--anonymous-auth`.
    pub allows_anonymous: bool,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    inner: Arc<Inner>,
}

struct Inner {
    certificates: CertificateVerifier,
    tokens: TokenVerifier,
    allows_anonymous: bool,
}

impl Authenticator {
    pub fn new(config: AuthnConfig, reader: Arc<dyn Reader>) -> Result<Self, CaError> {
        let api_audiences =
            if config.api_audiences.is_empty() { vec![config.issuer.clone()] } else { config.api_audiences };
        let inner = Inner {
            certificates: CertificateVerifier::new(&config.client_ca_pem)?,
            tokens: TokenVerifier { keys: config.token_keys, issuer: config.issuer, api_audiences, reader },
            allows_anonymous: config.allows_anonymous,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// `peer` is the chain of the TLS client, its own certificate first; empty if it sent none.
    pub fn authenticate(
        &self,
        peer: &[CertificateDer<'static>],
        headers: &HeaderMap,
        path: &str,
    ) -> Result<User, ApiError> {
        if let Some(user) = self.inner.certificates.user_of(peer) {
            return Ok(user);
        }
        if let Some(token) = bearer_token(headers) {
            return self.inner.tokens.authenticate(token).ok_or_else(ApiError::unauthorized);
        }
        if peer.is_empty() && self.inner.allows_anonymous && is_open_to_all(path) {
            return Ok(User::anonymous());
        }
        Err(ApiError::unauthorized())
    }
}

/// Health and version, and the single checks below the health paths.
fn is_open_to_all(path: &str) -> bool {
    let first = path.trim_matches('/').split('/').next().unwrap_or_default();
    match first {
        "livez" | "readyz" | "healthz" => true,
        "version" => path.trim_end_matches('/') == "/version",
        _ => false,
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Everybody who proved an identity is in `system:authenticated`.
fn add_authenticated(groups: &mut Vec<String>) {
    if !groups.iter().any(|group| group == GROUP_AUTHENTICATED) {
        groups.push(GROUP_AUTHENTICATED.to_owned());
    }
}
