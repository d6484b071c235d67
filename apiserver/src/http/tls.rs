//! The TLS side of the port: our certificate, and client certificates asked for but not demanded.
//!
//! A certificate of a foreign CA does not break the handshake: authentication sees it and answers 401 with a
//! Status, as stock servers do.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the serving certificate cannot be read")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    #[error("the serving key cannot be read")]
    Key(#[source] rustls::pki_types::pem::Error),
    #[error("the serving certificate and key do not go together")]
    Pair(#[source] rustls::Error),
}

pub fn server_config(cert_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(cert_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(TlsError::Key)?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(crate::authn::request_client_certificate())
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
