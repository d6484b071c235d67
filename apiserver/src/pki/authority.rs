//! A certificate authority on disk and the leaves it signs.
//!
//! Keys are EC P-256. The CA and every leaf have distinct subjects: OpenSSL takes a leaf whose subject
//! equals its issuer for self-signed and refuses it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{PkiError, files};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const LEAF_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A leaf with less than this left is reissued at the next start.
const RENEW_BEFORE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Clocks of clients may be behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// A certificate with its private key, both PEM.
#[derive(Clone)]
pub struct CertKey {
    pub cert_pem: String,
    pub key_pem: String,
}

/// What a leaf is for; decides subject, names and extended key usages.
#[derive(Clone, Debug)]
pub enum Usage {
    Client {
        common_name: String,
        organizations: Vec<String>,
    },
    Server {
        common_name: String,
        sans: Vec<String>,
    },
    /// Both at once, as members of a store are to each other.
    Peer {
        common_name: String,
        sans: Vec<String>,
    },
}

impl Usage {
    fn common_name(&self) -> &str {
        match self {
            Usage::Client { common_name, .. }
            | Usage::Server { common_name, .. }
            | Usage::Peer { common_name, .. } => common_name,
        }
    }

    fn organizations(&self) -> &[String] {
        match self {
            Usage::Client { organizations, .. } => organizations,
            Usage::Server { .. } | Usage::Peer { .. } => &[],
        }
    }

    fn sans(&self) -> &[String] {
        match self {
            Usage::Client { .. } => &[],
            Usage::Server { sans, .. } | Usage::Peer { sans, .. } => sans,
        }
    }

    fn extended(&self) -> Vec<ExtendedKeyUsagePurpose> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        match self {
            Usage::Client { .. } => vec![ClientAuth],
            Usage::Server { .. } => vec![ServerAuth],
            Usage::Peer { .. } => vec![ServerAuth, ClientAuth],
        }
    }
}

pub struct Authority {
    certificate_pem: String,
    certificate_der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Loads the pair, or creates it when neither file is there.
    pub fn ensure(cert_path: &Path, key_path: &Path, common_name: &str) -> Result<Self, PkiError> {
        match (files::read_if_there(cert_path)?, files::read_if_there(key_path)?) {
            (Some(cert_pem), Some(key_pem)) => Self::load(cert_path, cert_pem, key_path, &key_pem),
            (None, None) => Self::create(cert_path, key_path, common_name),
            (Some(_), None) => {
                Err(PkiError::HalfPair { missing: key_path.to_owned(), present: cert_path.to_owned() })
            }
            (None, Some(_)) => {
                Err(PkiError::HalfPair { missing: cert_path.to_owned(), present: key_path.to_owned() })
            }
        }
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub fn issue(&self, usage: &Usage) -> Result<CertKey, PkiError> {
        let subject = usage.common_name();
        let issue_error = |source| PkiError::Issue { subject: subject.to_owned(), source };
        let count = usage.organizations().len();
        if count > 1 {
            return Err(PkiError::Organizations { subject: subject.to_owned(), count });
        }
        let key = new_key(subject)?;
        let mut params = CertificateParams::new(usage.sans().to_vec()).map_err(issue_error)?;
        name(&mut params, subject, usage.organizations());
        set_lifetime(&mut params, LEAF_LIFETIME);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = usage.extended();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(issue_error)?;
        Ok(CertKey { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// `<name>.crt` and `<name>.key` in `directory`: reused while good, otherwise reissued.
    pub fn ensure_leaf(&self, directory: &Path, name: &str, usage: &Usage) -> Result<CertKey, PkiError> {
        let cert_path = directory.join(format!("{name}.crt"));
        let key_path = directory.join(format!("{name}.key"));
        let found = (files::read_if_there(&cert_path)?, files::read_if_there(&key_path)?);
        if let (Some(cert_pem), Some(key_pem)) = found
            && self.is_good(&cert_pem, &key_pem, usage)
        {
            return Ok(CertKey { cert_pem, key_pem });
        }
        let issued = self.issue(usage)?;
        files::write_atomically(&key_path, issued.key_pem.as_bytes(), files::PRIVATE_MODE)?;
        files::write_atomically(&cert_path, issued.cert_pem.as_bytes(), files::PUBLIC_MODE)?;
        Ok(issued)
    }

    fn load(cert_path: &Path, cert_pem: String, key_path: &Path, key_pem: &str) -> Result<Self, PkiError> {
        let broken_cert = || PkiError::Broken { path: cert_path.to_owned(), what: "certificate" };
        let key = KeyPair::from_pem(key_pem)
            .map_err(|_| PkiError::Broken { path: key_path.to_owned(), what: "private key" })?;
        let der = parse_x509_pem(cert_pem.as_bytes()).map_err(|_| broken_cert())?.1.contents;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| broken_cert())?;
        if !certificate.is_ca() {
            return Err(PkiError::Broken { path: cert_path.to_owned(), what: "CA certificate" });
        }
        if !holds_key(&certificate, &key) {
            return Err(PkiError::Mismatch { key: key_path.to_owned(), certificate: cert_path.to_owned() });
        }
        if !lasts(&certificate, Duration::ZERO) {
            return Err(PkiError::CaExpired { path: cert_path.to_owned() });
        }
        let issuer = Issuer::from_ca_cert_der(&der.clone().into(), key).map_err(|_| broken_cert())?;
        Ok(Self { certificate_pem: cert_pem, certificate_der: der, issuer })
    }

    fn create(cert_path: &Path, key_path: &Path, common_name: &str) -> Result<Self, PkiError> {
        let issue_error = |source| PkiError::Issue { subject: common_name.to_owned(), source };
        let key = new_key(common_name)?;
        let mut params = CertificateParams::default();
        name(&mut params, common_name, &[]);
        set_lifetime(&mut params, CA_LIFETIME);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        params.subject_alt_names = vec![SanType::DnsName(common_name.try_into().map_err(issue_error)?)];
        let certificate = params.self_signed(&key).map_err(issue_error)?;
        let certificate_pem = certificate.pem();
        // The key goes first: a certificate without its key could never be repaired.
        files::write_atomically(key_path, key.serialize_pem().as_bytes(), files::PRIVATE_MODE)?;
        files::write_atomically(cert_path, certificate_pem.as_bytes(), files::PUBLIC_MODE)?;
        let certificate_der = certificate.der().to_vec();
        Ok(Self { certificate_pem, certificate_der, issuer: Issuer::new(params, key) })
    }

    fn is_good(&self, cert_pem: &str, key_pem: &str, usage: &Usage) -> bool {
        let Ok(key) = KeyPair::from_pem(key_pem) else { return false };
        let Ok((_, pem)) = parse_x509_pem(cert_pem.as_bytes()) else { return false };
        let Ok((_, certificate)) = X509Certificate::from_der(&pem.contents) else { return false };
        let Ok((_, ca)) = X509Certificate::from_der(&self.certificate_der) else { return false };
        holds_key(&certificate, &key)
            && certificate.verify_signature(Some(ca.public_key())).is_ok()
            && lasts(&certificate, RENEW_BEFORE)
            && has_subject(&certificate, usage)
            && covers(&certificate, usage.sans())
    }
}

pub fn new_key(subject: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(|source| PkiError::Issue { subject: subject.to_owned(), source })
}

fn name(params: &mut CertificateParams, common_name: &str, organizations: &[String]) {
    let mut subject = rcgen::DistinguishedName::new();
    for organization in organizations {
        subject.push(DnType::OrganizationName, organization.as_str());
    }
    subject.push(DnType::CommonName, common_name);
    params.distinguished_name = subject;
}

fn set_lifetime(params: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + lifetime + DAY).into();
}

fn holds_key(certificate: &X509Certificate<'_>, key: &KeyPair) -> bool {
    certificate.public_key().subject_public_key.data.as_ref() == rcgen::PublicKeyData::der_bytes(key)
}

fn lasts(certificate: &X509Certificate<'_>, margin: Duration) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let until = i64::try_from((now + margin).as_secs()).unwrap_or(i64::MAX);
    certificate.validity().not_after.timestamp() > until
}

fn has_subject(certificate: &X509Certificate<'_>, usage: &Usage) -> bool {
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().filter_map(|part| part.as_str().ok()).next();
    let organizations: Vec<&str> =
        subject.iter_organization().filter_map(|part| part.as_str().ok()).collect();
    common_name == Some(usage.common_name()) && organizations == usage.organizations()
}

fn covers(certificate: &X509Certificate<'_>, wanted: &[String]) -> bool {
    let Ok(extension) = certificate.subject_alternative_name() else { return false };
    let names = extension.map(|found| found.value.general_names.as_slice()).unwrap_or_default();
    let held: Vec<String> = names.iter().filter_map(san_text).collect();
    wanted.iter().all(|san| held.contains(san))
}

fn san_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(dns) => Some((*dns).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            16 => {
                <[u8; 16]>::try_from(*bytes).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string())
            }
            _ => None,
        },
        _ => None,
    }
}
