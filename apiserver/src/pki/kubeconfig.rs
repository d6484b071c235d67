//! A kubeconfig file with CA, certificate and key embedded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::CertKey;

pub struct Kubeconfig<'a> {
    /// `https://host:6443`
    pub server: &'a str,
    pub user: &'a str,
    pub ca_pem: &'a str,
    pub credential: &'a CertKey,
}

impl Kubeconfig<'_> {
    pub fn to_yaml(&self) -> String {
        let Self { server, user, ca_pem, credential } = self;
        // JSON strings are YAML strings: names with colons (`system:node:a`) stay intact.
        let server = quoted(server);
        let context = quoted(&format!("{user}@balsa"));
        let user = quoted(user);
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters:\n\
             - name: balsa\n  cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n\
             users:\n\
             - name: {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n\
             contexts:\n\
             - name: {context}\n  context:\n    cluster: balsa\n    user: {user}\n\
             current-context: {context}\n\
             preferences: {{}}\n",
            ca = STANDARD.encode(ca_pem),
            certificate = STANDARD.encode(&credential.cert_pem),
            key = STANDARD.encode(&credential.key_pem),
        )
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
