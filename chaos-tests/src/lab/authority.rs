//! Certificates of a cluster that speaks TLS: one authority of its own, a pair for each member, one for clients.
//!
//! A member's certificate can be replaced while the member runs. Its key stays, so that the change is one rename and there
//! is no moment at which key and certificate do not fit.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// Of certificates that are not meant to expire: longer than any run.
pub const LONG: Duration = Duration::from_secs(30 * 24 * 3600);
/// Certificates are valid from before they were made: clocks of members may be moved.
const BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    client: ClientTlsConfig,
}

/// What a member is started with.
#[derive(Clone, Debug)]
pub struct PairFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub authority: PathBuf,
}

impl Authority {
    /// Files go into `dir`, which is made.
    pub fn create(dir: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "chaos");
        validity(&mut params, LONG);
        let key = KeyPair::generate().context("make a key")?;
        let issuer = CertifiedIssuer::self_signed(params, key).context("make an authority")?;
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        write(&dir.join("ca.crt"), &issuer.pem())?;
        let key = KeyPair::generate().context("make a key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "client");
        validity(&mut params, LONG);
        let pair = params.signed_by(&key, &issuer).context("sign the clients' certificate")?;
        let client = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(issuer.pem()))
            .identity(Identity::from_pem(pair.pem(), key.serialize_pem()));
        Ok(Self { issuer, dir: dir.to_owned(), client })
    }

    /// What clients connect with.
    pub fn client(&self) -> &ClientTlsConfig {
        &self.client
    }

    pub fn files(&self, member: &str) -> PairFiles {
        PairFiles {
            certificate: self.dir.join(format!("{member}.crt")),
            key: self.dir.join(format!("{member}.key")),
            authority: self.dir.join("ca.crt"),
        }
    }

    /// Gives a member a certificate that is valid from now on for so long, instead of the one that it has.
    pub fn issue(&self, member: &str, address: Ipv4Addr, valid: Duration) -> Result<()> {
        let files = self.files(member);
        let key = if files.key.exists() {
            let pem = fs::read_to_string(&files.key).context("read the member's key")?;
            KeyPair::from_pem(&pem).context("read the member's key")?
        } else {
            let key = KeyPair::generate().context("make a key")?;
            write(&files.key, &key.serialize_pem())?;
            key
        };
        let mut params =
            CertificateParams::new(vec![address.to_string()]).context("name the member's address")?;
        params.distinguished_name.push(DnType::CommonName, member);
        validity(&mut params, valid);
        let pair = params.signed_by(&key, &self.issuer).context("sign the member's certificate")?;
        write(&files.certificate, &pair.pem())
    }
}

pub(crate) fn validity(params: &mut CertificateParams, valid: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + valid).into();
}

/// Whoever reads the file sees the old text or the new one.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(|| format!("create {}", fresh.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", fresh.display()))?;
    fs::rename(&fresh, path).with_context(|| format!("replace {}", path.display()))
}
