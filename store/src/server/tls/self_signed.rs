//! `--auto-tls` and `--peer-auto-tls`: certificates of the member's own making, below `<data-dir>/fixtures`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::TlsError;
use crate::config::{PemFiles, Url};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `files` with a pair of files in `dir`, if one is asked for and none is named. Made once, for the hosts of `urls`; what
/// stands there from an earlier start is used again.
pub fn complete(files: &PemFiles, dir: &Path, urls: &[Url]) -> Result<PemFiles, TlsError> {
    let Some(years) = files.self_signed_years.filter(|_| files.cert.is_none()) else {
        return Ok(files.clone());
    };
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    if !(cert.exists() && key.exists()) {
        make(&cert, &key, urls, years)?;
        tracing::info!(path = %cert.display(), "made a certificate for this member");
    }
    Ok(PemFiles { cert: Some(cert), key: Some(key), ..files.clone() })
}

fn make(cert: &Path, key: &Path, urls: &[Url], years: u32) -> Result<(), TlsError> {
    let mut hosts: Vec<String> = urls.iter().map(Url::host).collect();
    hosts.dedup();
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "etcd");
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + YEAR * years).into();
    let pair = KeyPair::generate()?;
    let certificate = params.self_signed(&pair)?;
    let write = |path: &Path, text: &str| {
        write_private(path, text).map_err(|source| TlsError::Write { path: path.to_owned(), source })
    };
    write(key, &pair.serialize_pem())?;
    write(cert, &certificate.pem())
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
