//! Whom balsactl believes: the machine's certificate authorities, or, where `--insecure-skip-tls-verify` asks for it, anyone.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;

use balsa_proto::unverified::AnyServer;

/// Where distributions keep the bundle. Source: Go `crypto/x509/root_linux.go`.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// `SSL_CERT_FILE`, or the first bundle that is there.
pub fn system_bundle() -> Option<Vec<u8>> {
    match std::env::var_os("SSL_CERT_FILE") {
        Some(path) => std::fs::read(path).ok(),
        None => BUNDLES.iter().find_map(|path| std::fs::read(path).ok()),
    }
}

/// Takes any certificate. The handshake's signatures are still checked: whoever shows a certificate owns its key.
pub fn anyone() -> Arc<dyn ServerCertVerifier> {
    Arc::new(AnyServer::new(&rustls::crypto::aws_lc_rs::default_provider()))
}
