//! Certificates of the store: its own CA, so that a cluster certificate opens no door to the raw keys.

use std::path::Path;

use super::authority::{Authority, CertKey, Usage};
use super::{PkiError, files};

pub struct StoreCerts {
    pub ca_pem: String,
    pub server: CertKey,
    pub peer: CertKey,
    /// For the API server.
    pub client: CertKey,
}

pub fn ensure(directory: &Path, member_name: &str, sans: &[String]) -> Result<StoreCerts, PkiError> {
    let folder = directory.join("etcd");
    files::create_directory(&folder)?;
    let authority = Authority::ensure(&folder.join("ca.crt"), &folder.join("ca.key"), "etcd-ca")?;
    let member = Usage::Peer { common_name: member_name.to_owned(), sans: sans.to_vec() };
    let client =
        Usage::Client { common_name: "kube-apiserver-etcd-client".to_owned(), organizations: Vec::new() };
    Ok(StoreCerts {
        ca_pem: authority.certificate_pem().to_owned(),
        server: authority.ensure_leaf(&folder, "server", &member)?,
        peer: authority.ensure_leaf(&folder, "peer", &member)?,
        client: authority.ensure_leaf(directory, "apiserver-etcd-client", &client)?,
    })
}
