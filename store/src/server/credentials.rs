//! What a request shows of its sender: a token, or the name in a client certificate that TLS has verified.

use std::sync::Arc;

use http::{Extensions, HeaderMap};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Metadata of gRPC clients; the second is what HTTP clients have.
const TOKEN_KEYS: [&str; 2] = ["token", "authorization"];
const BEARER: &str = "Bearer ";

/// That a request came over TLS; an extension of the connection's requests.
#[derive(Debug, Clone, Copy)]
pub struct Encrypted;

/// The common name of a verified client certificate; an extension of the connection's requests.
#[derive(Debug, Clone)]
pub struct CommonName(pub Arc<str>);

impl CommonName {
    /// Of a certificate in DER; `None` if it has no common name.
    pub fn of_certificate(der: &[u8]) -> Option<CommonName> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
        Some(CommonName(name.into()))
    }
}

/// Without `Debug`: a token is a secret. Cheap to clone.
#[derive(Clone, Default)]
pub struct Credentials {
    pub token: Option<Arc<str>>,
    pub common_name: Option<CommonName>,
}

impl Credentials {
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        Self::from_parts(request.metadata().as_ref(), request.extensions().get())
    }

    pub fn of_http<T>(request: &http::Request<T>) -> Self {
        Self::from_parts(request.headers(), request.extensions().get())
    }

    fn from_parts(headers: &HeaderMap, common_name: Option<&CommonName>) -> Self {
        let shown = TOKEN_KEYS.iter().find_map(|key| headers.get(*key));
        // A header that is no text is no token of ours, but it was shown: it must not pass for nothing.
        let token = shown.map(|value| value.to_str().unwrap_or_default());
        let token = token.map(|token| token.strip_prefix(BEARER).unwrap_or(token).into());
        Credentials { token, common_name: common_name.cloned() }
    }

    pub fn is_empty(&self) -> bool {
        self.token.is_none() && self.common_name.is_none()
    }

    /// Puts the credentials on a request that this member makes in its client's name.
    pub fn sign<T>(&self, mut request: tonic::Request<T>) -> tonic::Request<T> {
        if let Some(token) = self.token.as_deref().and_then(|token| token.parse().ok()) {
            request.metadata_mut().insert(TOKEN_KEYS[0], token);
        }
        if let Some(name) = &self.common_name {
            request.extensions_mut().insert(name.clone());
        }
        request
    }
}

/// What is known of a connection.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    pub is_encrypted: bool,
    pub common_name: Option<CommonName>,
}

/// For [`Credentials::of_http`] beside the metadata, and for whoever asks for [`Encrypted`].
pub fn remember(extensions: &mut Extensions, connection: &Connection) {
    if connection.is_encrypted {
        extensions.insert(Encrypted);
    }
    if let Some(name) = &connection.common_name {
        extensions.insert(name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_token_may_stand() {
        type Header = (&'static str, &'static str);
        let rows: &[(&[Header], Option<&str>)] = &[
            (&[], None),
            (&[("token", "a.1")], Some("a.1")),
            (&[("authorization", "a.1")], Some("a.1")),
            (&[("authorization", "Bearer a.1")], Some("a.1")),
            (&[("token", "a.1"), ("authorization", "b.2")], Some("a.1")),
            (&[("token", "")], Some("")),
        ];
        for (headers, want) in rows {
            let mut request = http::Request::new(());
            for (name, value) in *headers {
                request.headers_mut().insert(*name, http::HeaderValue::from_static(value));
            }
            assert_eq!(Credentials::of_http(&request).token.as_deref(), *want, "{headers:?}");
        }
    }
}
