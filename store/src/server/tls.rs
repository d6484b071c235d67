//! TLS of both ports from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::config::PemFiles;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} holds no usable PEM")]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("the CA in {path} is not usable")]
    Ca { path: PathBuf, source: rustls::Error },
    #[error("the CA cannot verify clients")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    #[error("the certificate and its key are not usable")]
    Certificate(#[from] rustls::Error),
    #[error("the {0} file is not given")]
    Missing(&'static str),
}

/// For a listener: both HTTP versions, and client certificates as the files say.
pub fn server_config(files: &PemFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let cert = files.cert.as_deref().ok_or(TlsError::Missing("certificate"))?;
    let key = files.key.as_deref().ok_or(TlsError::Missing("key"))?;
    let chain = read_certificates(cert)?;
    let key = read_key(key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match &files.trusted_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider);
            // etcd, too, asks for a certificate as soon as it has a CA, and insists only when told to.
            let verifier =
                if files.require_client_cert { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// For calls to peers: the member's certificate serves as its client certificate. `None` without any file.
pub fn client_config(files: &PemFiles) -> Result<Option<ClientTlsConfig>, TlsError> {
    if files == &PemFiles::default() {
        return Ok(None);
    }
    let mut config = ClientTlsConfig::new();
    if let Some(ca) = &files.trusted_ca {
        config = config.ca_certificate(Certificate::from_pem(read(ca)?));
    }
    if let (Some(cert), Some(key)) = (&files.cert, &files.key) {
        config = config.identity(Identity::from_pem(read(cert)?, read(key)?));
    }
    Ok(Some(config))
}

/// The same for connections that are made by hand.
pub fn connector_config(files: &PemFiles) -> Result<Option<Arc<ClientConfig>>, TlsError> {
    if files == &PemFiles::default() {
        return Ok(None);
    }
    let roots = files.trusted_ca.as_deref().map_or_else(|| Ok(RootCertStore::empty()), roots)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => builder.with_client_auth_cert(read_certificates(cert)?, read_key(key)?)?,
        _ => builder.with_no_client_auth(),
    };
    Ok(Some(Arc::new(config)))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|source| TlsError::Ca { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}
