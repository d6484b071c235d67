//! The issuer's public face: with these two documents others verify our service account tokens.

use serde_json::{Value, json};

use super::Authenticator;

pub const JWKS_CONTENT_TYPE: &str = "application/jwk-set+json";

impl Authenticator {
    /// `/openid/v1/jwks`, to be sent as [`JWKS_CONTENT_TYPE`].
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.inner.tokens.keys.verifying.iter().map(|key| json!(key.jwk)).collect();
        json!({ "keys": keys })
    }

    /// `/.well-known/openid-configuration`; `server` is how the API server is reached, `host:port`.
    pub fn openid_configuration(&self, server: &str) -> Value {
        let tokens = &self.inner.tokens;
        let mut algorithms: Vec<String> =
            tokens.keys.verifying.iter().map(|key| format!("{:?}", key.algorithm)).collect();
        algorithms.sort();
        algorithms.dedup();
        json!({
            "issuer": tokens.issuer,
            "jwks_uri": format!("https://{server}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
        })
    }
}
