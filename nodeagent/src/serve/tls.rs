//! The agent's serving certificate and the CA of its clients.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("parse {what}")]
    Parse {
        what: &'static str,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("make a self-signed serving certificate")]
    Generate(#[source] rcgen::Error),
    #[error("use the serving certificate and the client CA: {0}")]
    Use(String),
}

/// PEM texts.
#[derive(Clone)]
pub struct Identity {
    pub cert_pem: Vec<u8>,
    pub key_pem: Vec<u8>,
    /// Without it nobody is believed.
    pub client_ca_pem: Option<Vec<u8>>,
}

/// Reads the pair, or makes a self-signed one in `folder` as the stock kubelet does (`kubelet.crt`, `kubelet.key`).
pub fn self_signed(
    folder: &Path,
    node_name: &str,
    addresses: &[IpAddr],
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let (cert, key) = (folder.join("kubelet.crt"), folder.join("kubelet.key"));
    if let (Ok(cert_pem), Ok(key_pem)) = (std::fs::read(&cert), std::fs::read(&key)) {
        return Ok((cert_pem, key_pem));
    }
    let mut params = CertificateParams::new(vec![node_name.to_owned()]).map_err(Error::Generate)?;
    params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
    params.distinguished_name.push(DnType::CommonName, format!("{node_name}@self"));
    let pair = KeyPair::generate().map_err(Error::Generate)?;
    let certificate = params.self_signed(&pair).map_err(Error::Generate)?;
    let (cert_pem, key_pem) = (certificate.pem().into_bytes(), pair.serialize_pem().into_bytes());
    write(folder, &cert, &cert_pem)?;
    write(folder, &key, &key_pem)?;
    Ok((cert_pem, key_pem))
}

fn write(folder: &Path, path: &Path, content: &[u8]) -> Result<(), Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |source| Error::Write { path: path.to_path_buf(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(content).map_err(failed)
}

pub fn server_config(identity: &Identity) -> Result<rustls::ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let used = |error: &dyn std::fmt::Display| Error::Use(error.to_string());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| used(&error))?;
    let builder = match &identity.client_ca_pem {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("client CA", pem)? {
                roots.add(certificate).map_err(|error| used(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            // Who shows nothing gets 401 from us instead of a broken handshake, and may see /healthz.
            let verifier = verifier.allow_unauthenticated().build().map_err(|error| used(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates("serving certificate", &identity.cert_pem)?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key_pem)
        .map_err(|source| Error::Parse { what: "serving key", source })?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| used(&error))?;
    // Upgrades (exec, port-forward) exist only in HTTP/1.1; a client that offers both must not choose h2.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|source| Error::Parse { what, source })
}
