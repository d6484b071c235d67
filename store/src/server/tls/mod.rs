//! TLS of both ports: what to show, whom to trust, and which versions and suites to speak.
//!
//! A certificate and its key are read again when their files change, so that a renewal needs no restart; connections that
//! stand keep what they were made with. So are revocation lists. Authorities are read at the start.

mod choice;
mod clients;
mod files;
mod origin;
mod revocation;
mod self_signed;

use std::path::PathBuf;
use std::sync::Arc;

use balsa_proto::reloading_cert::{CertError, ReloadingCert};
use balsa_proto::unverified::AnyServer;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

pub use self::choice::{TlsChoice, TlsVersion};
pub use self::origin::{ForeignOrigin, check_origin};
pub use self::self_signed::complete;

use self::clients::NamedClients;
use self::revocation::{Authority, UnrevokedClients};
use crate::config::PemFiles;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("write {path}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path} holds no usable PEM")]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("the CA in {path} is not usable")]
    Ca { path: PathBuf, source: rustls::Error },
    #[error("the CA or the revocation list cannot verify clients")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    #[error(transparent)]
    Shown(#[from] CertError),
    #[error("the versions and cipher suites of TLS do not go together")]
    Choice(#[from] rustls::Error),
    #[error("a certificate cannot be made")]
    SelfSigned(#[from] rcgen::Error),
    #[error("the {0} file is not given")]
    Missing(&'static str),
    #[error("--cipher-suites: {name} is not among the supported suites: {known}")]
    Suite { name: String, known: String },
}

/// What a listener needs.
#[derive(Clone)]
pub struct Inbound {
    pub config: Arc<ServerConfig>,
    /// Whether who comes in must pass [`check_origin`].
    pub checks_origin: bool,
}

/// For a listener: both HTTP versions, and client certificates as the files say.
pub fn inbound(files: &PemFiles, choice: &TlsChoice) -> Result<Inbound, TlsError> {
    let cert = files.cert.clone().ok_or(TlsError::Missing("certificate"))?;
    let key = files.key.clone().ok_or(TlsError::Missing("key"))?;
    let provider = choice.provider()?;
    let shown = ReloadingCert::open(cert, key, provider.clone())?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(choice.versions())?
        .with_client_cert_verifier(client_verifier(files, provider)?);
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Inbound { config: Arc::new(config), checks_origin: !files.skip_client_san_verification })
}

fn client_verifier(
    files: &PemFiles,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(ca) = &files.trusted_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let roots = Arc::new(files::roots(ca)?);
    let authority = Authority { roots, provider, is_mandatory: files.require_client_cert };
    let verifier = match &files.crl {
        None => authority.verifier(None)?,
        Some(list) => Arc::new(UnrevokedClients::open(list.clone(), authority)?),
    };
    Ok(NamedClients::wrap(verifier, &files.allowed_cns, &files.allowed_hostnames))
}

/// For connections to other members, whose certificate serves as this side's. `None` without any file.
pub fn connector_config(files: &PemFiles, choice: &TlsChoice) -> Result<Option<Arc<ClientConfig>>, TlsError> {
    if files == &PemFiles::default() {
        return Ok(None);
    }
    let provider = choice.provider()?;
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(choice.versions())?;
    let builder = match (&files.trusted_ca, files.self_signed_years) {
        // Nobody can vouch for certificates that members made for themselves; etcd does not ask either.
        (None, Some(_)) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer::new(&provider)))
        }
        (None, None) => builder.with_root_certificates(RootCertStore::empty()),
        (Some(ca), _) => builder.with_root_certificates(files::roots(ca)?),
    };
    let shown = files.client_cert.clone().zip(files.client_key.clone());
    let config = match shown.or_else(|| files.cert.clone().zip(files.key.clone())) {
        Some((cert, key)) => {
            builder.with_client_cert_resolver(Arc::new(ReloadingCert::open(cert, key, provider)?))
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Some(Arc::new(config)))
}
