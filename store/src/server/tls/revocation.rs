//! Clients that the CA vouches for, except those on a revocation list, which is read again when its file changes.
//!
//! Looked at with every handshake: one `stat` call. While a changed list cannot be read the old one stays: whom it names
//! is not let in again. Stock etcd reads the list with every connection.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use balsa_proto::reloading_cert::{Stamp, stamp};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::TlsError;
use super::files;

/// What does not change while the member runs.
#[derive(Debug)]
pub struct Authority {
    pub roots: Arc<RootCertStore>,
    pub provider: Arc<CryptoProvider>,
    pub is_mandatory: bool,
}

impl Authority {
    /// etcd, too, asks for a certificate as soon as it has a CA, and insists only when told to.
    pub fn verifier(&self, list: Option<&PathBuf>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let (roots, provider) = (self.roots.clone(), self.provider.clone());
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let builder = if self.is_mandatory { builder } else { builder.allow_unauthenticated() };
        let builder = match list {
            None => builder,
            Some(path) => builder
                .with_crls(files::revocations(path)?)
                .only_check_end_entity_revocation()
                .allow_unknown_revocation_status(),
        };
        Ok(builder.build()?)
    }
}

#[derive(Debug)]
pub struct UnrevokedClients {
    list: PathBuf,
    authority: Authority,
    /// Names of the authorities, which tell a client with several certificates which one to show.
    hints: Vec<DistinguishedName>,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    stamp: Option<Stamp>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl UnrevokedClients {
    pub fn open(list: PathBuf, authority: Authority) -> Result<Self, TlsError> {
        let stamp = stamp(&list);
        let verifier = authority.verifier(Some(&list))?;
        let hints = verifier.root_hint_subjects().to_vec();
        let current = ArcSwap::from_pointee(Loaded { stamp, verifier });
        Ok(UnrevokedClients { list, authority, hints, current })
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        let stamp = stamp(&self.list);
        let current = self.current.load();
        if current.stamp == stamp {
            return current.verifier.clone();
        }
        match self.authority.verifier(Some(&self.list)) {
            Ok(verifier) => {
                tracing::info!(path = %self.list.display(), "a changed revocation list is in use");
                self.current.store(Arc::new(Loaded { stamp, verifier: verifier.clone() }));
                verifier
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(path = %self.list.display(), error, "a changed revocation list is not usable yet");
                current.verifier.clone()
            }
        }
    }
}

impl ClientCertVerifier for UnrevokedClients {
    fn offer_client_auth(&self) -> bool {
        self.current.load().verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.authority.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verifier().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().verifier.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().verifier.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().verifier.supported_verify_schemes()
    }
}
