//! A certificate and its key, read again when one of their files changes, so that a renewal needs no restart.
//!
//! Looked at with every handshake: two `stat` calls. While the two files do not fit together, as in the middle of a
//! renewal, the old pair stays.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

#[derive(Debug, thiserror::Error)]
pub enum CertError {
    #[error("read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} holds no usable PEM")]
    Pem { path: PathBuf, source: pem::Error },
    #[error("the certificate and its key are not usable")]
    Pair(#[from] rustls::Error),
}

#[derive(Debug)]
pub struct ReloadingCert {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    stamps: [Option<Stamp>; 2],
    pair: Arc<CertifiedKey>,
}

/// What differs when a file was replaced or written: inode, size, time of change in nanoseconds.
pub type Stamp = (u64, u64, i64, i64);

impl ReloadingCert {
    pub fn open(cert: PathBuf, key: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, CertError> {
        let stamps = [stamp(&cert), stamp(&key)];
        let pair = load(&cert, &key, &provider)?;
        Ok(ReloadingCert { cert, key, provider, current: ArcSwap::from_pointee(Loaded { stamps, pair }) })
    }

    fn pair(&self) -> Arc<CertifiedKey> {
        let stamps = [stamp(&self.cert), stamp(&self.key)];
        let current = self.current.load();
        if current.stamps == stamps {
            return current.pair.clone();
        }
        match load(&self.cert, &self.key, &self.provider) {
            Ok(pair) => {
                tracing::info!(path = %self.cert.display(), "a renewed certificate is in use");
                self.current.store(Arc::new(Loaded { stamps, pair: pair.clone() }));
                pair
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(path = %self.cert.display(), error, "a changed certificate is not usable yet");
                current.pair.clone()
            }
        }
    }
}

pub fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}

fn load(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, CertError> {
    let read =
        |path: &Path| fs::read(path).map_err(|source| CertError::Read { path: path.to_owned(), source });
    let unusable = |path: &Path, source| CertError::Pem { path: path.to_owned(), source };
    let chain = CertificateDer::pem_slice_iter(&read(cert)?).collect::<Result<_, _>>();
    let chain = chain.map_err(|source| unusable(cert, source))?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|source| unusable(key, source))?;
    Ok(Arc::new(CertifiedKey::from_der(chain, secret, provider)?))
}

impl ResolvesServerCert for ReloadingCert {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }
}

impl ResolvesClientCert for ReloadingCert {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
