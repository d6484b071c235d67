//! The TLS side of the port: our certificate, and client certificates asked for but not demanded.
//!
//! The certificate is read again when its files change, as stock does, so that a renewal needs no restart.
//! A certificate of a foreign CA does not break the handshake: authentication sees it and answers 401 with a
//! Status, as stock servers do.

use std::sync::Arc;

use balsa_proto::reloading_cert::{CertError, ReloadingCert};
use rustls::ServerConfig;

use crate::pki::ServingFiles;

pub fn server_config(files: ServingFiles) -> Result<Arc<ServerConfig>, CertError> {
    let builder =
        ServerConfig::builder().with_client_cert_verifier(crate::authn::request_client_certificate());
    let provider = builder.crypto_provider().clone();
    let shown = ReloadingCert::open(files.certificate, files.key, provider)?;
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::path::Path;

    use rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::pki::{Pki, PkiOptions};

    fn pki(directory: &Path, names: &[&str]) -> Pki {
        let options = PkiOptions {
            host_name: "node-1".to_owned(),
            advertise_address: Ipv4Addr::LOCALHOST.into(),
            service_address: Ipv4Addr::new(10, 96, 0, 1).into(),
            cluster_domain: "cluster.local".to_owned(),
            extra_sans: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        Pki::ensure(directory, &options).unwrap()
    }

    /// The certificate that a new connection sees.
    async fn shown(config: &Arc<ServerConfig>) -> CertificateDer<'static> {
        let client = balsa_proto::unverified::client_config(config.crypto_provider().clone());
        let (near, far) = tokio::io::duplex(1 << 16);
        let server = TlsAcceptor::from(config.clone()).accept(far);
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let connecting = TlsConnector::from(Arc::new(client));
        let (client, server) = tokio::join!(connecting.connect(name, near), server);
        server.unwrap();
        client.unwrap().get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    #[tokio::test]
    async fn a_renewed_certificate_is_shown_without_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let config = server_config(pki(directory.path(), &[]).serving_files()).unwrap();
        let first = shown(&config).await;
        assert_eq!(shown(&config).await, first);
        // A name more has it issued anew.
        pki(directory.path(), &["api.example.test"]);
        assert_ne!(shown(&config).await, first);
    }
}
