//! Signed tokens: who, at which auth revision, until when. No member has to remember them.
//!
//! Signed with the private key and verified with the public one; a member that has only the public key verifies what
//! others sign. The claims are etcd's: `username`, `revision`, `exp`.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::Caller;
use super::token::JwtOptions;

#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    #[error("read the key file {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "{path} holds no key for {method:?}; an EC or Ed25519 private key must be PKCS#8 (openssl pkcs8 -topk8)"
    )]
    Key { path: PathBuf, method: Algorithm, source: jsonwebtoken::errors::Error },
    #[error("a key for {0:?} is a shared secret and is given as priv-key")]
    SharedSecret(Algorithm),
    #[error("pub-key and priv-key are not two halves of one key")]
    Mismatch,
}

/// Why no token is made. The text is stock etcd's.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("auth: token signing attempted with verify-only key")]
    VerifyOnly,
    #[error("the token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

pub struct JwtTokens {
    method: Algorithm,
    ttl: Duration,
    signing: Option<EncodingKey>,
    verifying: DecodingKey,
}

impl std::fmt::Debug for JwtTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtTokens").field("method", &self.method).field("ttl", &self.ttl).finish()
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    username: String,
    revision: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
}

/// With a whole number, as etcd writes it.
#[derive(Serialize)]
struct NewClaims<'a> {
    username: &'a str,
    revision: u64,
    exp: u64,
}

impl JwtTokens {
    pub fn open(options: &JwtOptions) -> Result<Self, JwtError> {
        let method = options.method;
        let signing = options.private_key.as_deref().map(|path| private_key(path, method)).transpose()?;
        let public = options.public_key.as_deref().map(|path| public_key(path, method)).transpose()?;
        let own = signing.as_ref().map(|(path, key)| public_half(path, key, method)).transpose()?;
        if let (Some(public), Some(own)) = (&public, &own)
            && !same(public, own)
        {
            return Err(JwtError::Mismatch);
        }
        let verifying = own.or(public).ok_or(JwtError::SharedSecret(method))?;
        Ok(JwtTokens { method, ttl: options.ttl, signing: signing.map(|(_, key)| key), verifying })
    }

    pub fn sign(&self, user: &str, auth_revision: u64) -> Result<String, SignError> {
        let key = self.signing.as_ref().ok_or(SignError::VerifyOnly)?;
        let now = crate::host::wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = NewClaims { username: user, revision: auth_revision, exp: (now + self.ttl).as_secs() };
        jsonwebtoken::encode(&Header::new(self.method), &claims, key).map_err(SignError::Sign)
    }

    /// `None`: not signed with our key and method, or too old.
    pub fn verify(&self, token: &str) -> Option<Caller> {
        let mut validation = Validation::new(self.method);
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        // etcd takes tokens of other issuers that live for ever.
        validation.set_required_spec_claims::<&str>(&[]);
        let Claims { username, revision, .. } =
            jsonwebtoken::decode(token, &self.verifying, &validation).ok()?.claims;
        Some(Caller::User { name: username, auth_revision: revision as u64 })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, JwtError> {
    std::fs::read(path).map_err(|source| JwtError::Read { path: path.to_owned(), source })
}

fn private_key(path: &Path, method: Algorithm) -> Result<(PathBuf, EncodingKey), JwtError> {
    let bytes = read(path)?;
    let key = match method.family() {
        AlgorithmFamily::Hmac => Ok(EncodingKey::from_secret(&bytes)),
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(&bytes),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(&bytes),
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(&bytes),
    };
    let key = key.map_err(|source| JwtError::Key { path: path.to_owned(), method, source })?;
    Ok((path.to_owned(), key))
}

fn public_key(path: &Path, method: Algorithm) -> Result<DecodingKey, JwtError> {
    let bytes = read(path)?;
    let key = match method.family() {
        AlgorithmFamily::Hmac => return Err(JwtError::SharedSecret(method)),
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(&bytes),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(&bytes),
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(&bytes),
    };
    key.map_err(|source| JwtError::Key { path: path.to_owned(), method, source })
}

fn public_half(path: &Path, key: &EncodingKey, method: Algorithm) -> Result<DecodingKey, JwtError> {
    Jwk::from_encoding_key(key, method)
        .and_then(|jwk| DecodingKey::from_jwk(&jwk))
        .map_err(|source| JwtError::Key { path: path.to_owned(), method, source })
}

/// As the JSON form of both says: a key may be held as a file's bytes or as its numbers.
fn same(one: &DecodingKey, other: &DecodingKey) -> bool {
    let numbers = |key| Jwk::from_decoding_key(key, None).map(|jwk| jwk.algorithm).ok();
    numbers(one).is_some() && numbers(one) == numbers(other)
}

#[cfg(test)]
#[path = "jwt_test.rs"]
mod tests;
