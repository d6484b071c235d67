//! The cluster's own certificates: created on the first start, reused on every later one.
//!
//! In: a directory and the names under which the API server is reached. Out: a [`Pki`] that serves, signs
//! and writes kubeconfig files. Files carry kubeadm's names (`ca.crt`, `apiserver.crt`, `sa.key`, …), so a
//! directory that was made by stock tools is accepted as it is.
//! Invariants: a private key is never readable by others (0600); a certificate that cannot be used any
//! more (foreign issuer, missing name, near its end) is reissued, a CA or service account key never is,
//! since that would cut off every client: a broken one is an error that names the file.

mod authority;
mod files;
mod flags;
mod kubeconfig;
#[cfg(test)]
mod pki_test;
mod store;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::KeyPair;

pub use self::authority::{Authority, CertKey, Usage};
pub use self::flags::Part;
pub use self::kubeconfig::Kubeconfig;
pub use self::store::StoreCerts;

/// What the serving certificate must cover.
#[derive(Clone, Debug)]
pub struct PkiOptions {
    pub host_name: String,
    pub advertise_address: IpAddr,
    /// The first address of the service range: the ClusterIP of the `kubernetes` Service.
    pub service_address: IpAddr,
    /// Usually `cluster.local`.
    pub cluster_domain: String,
    /// Further names and addresses, as given by `--tls-san` and the like.
    pub extra_sans: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("cannot create the certificate directory {}", path.display())]
    CreateDirectory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is missing but {} exists: restore it, or remove both to start with a new one", missing.display(), present.display())]
    HalfPair { missing: PathBuf, present: PathBuf },
    #[error("{} is not a readable {what}: restore it from a backup, or remove it together with its pair", path.display())]
    Broken { path: PathBuf, what: &'static str },
    #[error("{} does not belong to {}", key.display(), certificate.display())]
    Mismatch { key: PathBuf, certificate: PathBuf },
    #[error("{} expired: replace the cluster's CA", path.display())]
    CaExpired { path: PathBuf },
    #[error("a certificate for {subject:?} can carry one organization, not {count}")]
    Organizations { subject: String, count: usize },
    #[error("cannot make a certificate for {subject:?}")]
    Issue {
        subject: String,
        #[source]
        source: rcgen::Error,
    },
}

/// Where a serving certificate and its key are.
#[derive(Clone, Debug)]
pub struct ServingFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The key that signs service account tokens.
#[derive(Clone)]
pub struct TokenKey {
    pub private_pem: String,
    pub public_pem: String,
}

/// A loaded certificate directory. Cheap to keep; issues more certificates on demand.
pub struct Pki {
    directory: PathBuf,
    authority: Authority,
    serving: CertKey,
    token_key: TokenKey,
}

impl Pki {
    /// Loads `directory`, creating or reissuing what is missing.
    pub fn ensure(directory: &Path, options: &PkiOptions) -> Result<Self, PkiError> {
        files::create_directory(directory)?;
        let authority =
            Authority::ensure(&directory.join("ca.crt"), &directory.join("ca.key"), "kubernetes")?;
        let serving = authority.ensure_leaf(
            directory,
            "apiserver",
            &Usage::Server { common_name: "kube-apiserver".into(), sans: options.serving_names() },
        )?;
        let token_key = ensure_token_key(directory)?;
        Ok(Self { directory: directory.to_owned(), authority, serving, token_key })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn ca_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    pub fn serving(&self) -> &CertKey {
        &self.serving
    }

    /// Where [`Pki::serving`] is kept.
    pub fn serving_files(&self) -> ServingFiles {
        let file = |name: &str| self.directory.join(name);
        ServingFiles { certificate: file("apiserver.crt"), key: file("apiserver.key") }
    }

    pub fn token_key(&self) -> &TokenKey {
        &self.token_key
    }

    /// A client certificate in memory: the user `common_name` in the group `organizations`, at most one (rcgen
    /// writes each kind of name once).
    pub fn issue_client(&self, common_name: &str, organizations: &[&str]) -> Result<CertKey, PkiError> {
        self.authority.issue(&client_usage(common_name, organizations))
    }

    /// A serving certificate in memory, as a kubelet needs it for its own port.
    pub fn issue_server(&self, common_name: &str, sans: &[String]) -> Result<CertKey, PkiError> {
        self.authority.issue(&Usage::Server { common_name: common_name.to_owned(), sans: sans.to_vec() })
    }

    /// Like [`Pki::issue_client`], kept as `<name>.crt` and `<name>.key` and reused while it is good.
    pub fn ensure_client(
        &self,
        name: &str,
        common_name: &str,
        organizations: &[&str],
    ) -> Result<CertKey, PkiError> {
        self.authority.ensure_leaf(&self.directory, name, &client_usage(common_name, organizations))
    }

    /// Like [`Pki::issue_server`], kept as `<name>.crt` and `<name>.key` and reused while it is good.
    pub fn ensure_server(&self, name: &str, common_name: &str, sans: &[String]) -> Result<CertKey, PkiError> {
        let usage = Usage::Server { common_name: common_name.to_owned(), sans: sans.to_vec() };
        self.authority.ensure_leaf(&self.directory, name, &usage)
    }

    /// The store's own CA and its server, peer and client certificates, under `etcd/` as kubeadm keeps them.
    pub fn ensure_store(&self, member_name: &str, sans: &[String]) -> Result<StoreCerts, PkiError> {
        store::ensure(&self.directory, member_name, sans)
    }

    /// Writes a kubeconfig with everything embedded, for the user that `credential` names.
    pub fn write_kubeconfig(
        &self,
        path: &Path,
        server: &str,
        user: &str,
        credential: &CertKey,
    ) -> Result<(), PkiError> {
        let text = Kubeconfig { server, user, ca_pem: self.ca_pem(), credential }.to_yaml();
        files::write_atomically(path, text.as_bytes(), files::PRIVATE_MODE)
    }
}

fn client_usage(common_name: &str, organizations: &[&str]) -> Usage {
    Usage::Client {
        common_name: common_name.to_owned(),
        organizations: organizations.iter().map(|name| (*name).to_owned()).collect(),
    }
}

impl PkiOptions {
    /// Every name under which pods, nodes and people reach the API server.
    pub fn serving_names(&self) -> Vec<String> {
        let mut sans: Vec<String> = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
            .map(str::to_owned)
            .into_iter()
            .chain([
                format!("kubernetes.default.svc.{}", self.cluster_domain),
                "localhost".to_owned(),
                self.host_name.to_lowercase(),
                "127.0.0.1".to_owned(),
                self.advertise_address.to_string(),
                self.service_address.to_string(),
            ])
            .chain(self.extra_sans.iter().cloned())
            .filter(|san| !san.is_empty())
            .collect();
        sans.sort();
        sans.dedup();
        sans
    }
}

fn ensure_token_key(directory: &Path) -> Result<TokenKey, PkiError> {
    let private_path = directory.join("sa.key");
    let public_path = directory.join("sa.pub");
    if let Some(private_pem) = files::read_if_there(&private_path)? {
        let key = KeyPair::from_pem(&private_pem)
            .map_err(|_| PkiError::Broken { path: private_path, what: "private key" })?;
        let public_pem = key.public_key_pem();
        if files::read_if_there(&public_path)?.as_deref() != Some(public_pem.as_str()) {
            files::write_atomically(&public_path, public_pem.as_bytes(), files::PUBLIC_MODE)?;
        }
        return Ok(TokenKey { private_pem, public_pem });
    }
    if public_path.exists() {
        return Err(PkiError::HalfPair { missing: private_path, present: public_path });
    }
    let key = authority::new_key("service accounts")?;
    let token_key = TokenKey { private_pem: key.serialize_pem(), public_pem: key.public_key_pem() };
    files::write_atomically(&private_path, token_key.private_pem.as_bytes(), files::PRIVATE_MODE)?;
    files::write_atomically(&public_path, token_key.public_pem.as_bytes(), files::PUBLIC_MODE)?;
    Ok(token_key)
}
