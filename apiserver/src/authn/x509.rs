//! Client certificates: common name → user, organizations → groups.
//!
//! TLS only *asks* for a certificate ([`request_client_certificate`]): the handshake proves that the peer holds
//! the key, and the chain is checked here, so that a certificate of a foreign CA gets a 401 Status over a working
//! connection instead of a broken one, as from a stock server.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::add_authenticated;
use crate::request::User;

/// Verified certificates kept, so that a request costs one hash and not two signature checks.
const CACHE_ENTRIES: usize = 1024;
/// How long a verified chain is trusted without a second look at its dates.
const CACHE_LIFETIME: Duration = Duration::from_secs(60);
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("the client CA file holds no readable certificate")]
    NoCertificate,
    #[error("the client CA file cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub struct CertificateVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    verified: Mutex<HashMap<[u8; 32], (User, SystemTime)>>,
}

impl CertificateVerifier {
    pub fn new(ca_pem: &str) -> Result<Self, CaError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            let certificate = certificate.map_err(|_| CaError::NoCertificate)?;
            roots.add(certificate).map_err(|error| CaError::Unusable(error.into()))?;
        }
        if roots.is_empty() {
            return Err(CaError::NoCertificate);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| CaError::Unusable(error.into()))?;
        Ok(Self { chain, verified: Mutex::new(HashMap::new()) })
    }

    /// None: no certificate, or one that does not lead to our CAs for client use.
    pub fn user_of(&self, peer: &[CertificateDer<'static>]) -> Option<User> {
        let (leaf, intermediates) = peer.split_first()?;
        let digest: [u8; 32] = Sha256::digest(leaf).into();
        let now = SystemTime::now();
        if let Some((user, until)) = self.verified.lock().get(&digest)
            && now < *until
        {
            return Some(user.clone());
        }
        let unix = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).ok()?);
        self.chain.verify_client_cert(leaf, intermediates, unix).ok()?;
        let user = subject_user(leaf, &digest)?;
        self.remember(digest, &user, now + CACHE_LIFETIME);
        Some(user)
    }

    fn remember(&self, digest: [u8; 32], user: &User, until: SystemTime) {
        let mut verified = self.verified.lock();
        if verified.len() >= CACHE_ENTRIES {
            verified.clear();
        }
        verified.insert(digest, (user.clone(), until));
    }
}

fn subject_user(leaf: &CertificateDer<'_>, digest: &[u8; 32]) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    if name.is_empty() {
        return None;
    }
    let mut groups: Vec<String> =
        subject.iter_organization().filter_map(|part| part.as_str().ok()).map(str::to_owned).collect();
    add_authenticated(&mut groups);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let extra = BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={hex}")])]);
    Some(User { name, uid: String::new(), groups, extra })
}

/// A TLS verifier that asks for a client certificate and takes any whose key the peer holds.
/// Whoever uses it must give the peer's chain to the authenticator.
pub fn request_client_certificate() -> Arc<dyn ClientCertVerifier> {
    Arc::new(RequestClientCertificate { provider: Arc::new(aws_lc_rs::default_provider()) })
}

#[derive(Debug)]
struct RequestClientCertificate {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for RequestClientCertificate {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
