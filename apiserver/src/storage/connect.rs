//! The addresses of the etcd members, with TLS where it is asked for.

use std::time::Duration;

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

#[derive(Debug, Clone)]
pub struct EtcdConfig {
    /// `http://127.0.0.1:2379`; several are used side by side, those that answer.
    pub servers: Vec<String>,
    /// Stock `--etcd-prefix`: `/registry`.
    pub prefix: String,
    pub tls: Option<EtcdTls>,
}

#[derive(Debug, Clone)]
pub struct EtcdTls {
    pub ca_pem: Option<Vec<u8>>,
    /// Certificate chain and key.
    pub identity_pem: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("etcd server address {server:?} is not a URL like http://127.0.0.1:2379")]
    Address {
        server: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("TLS settings for etcd server {server:?}")]
    Tls {
        server: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("no etcd server is given")]
    NoServer,
}

/// At least one.
pub(super) fn endpoints(config: &EtcdConfig) -> Result<Vec<Endpoint>, ConnectError> {
    if config.servers.is_empty() {
        return Err(ConnectError::NoServer);
    }
    config.servers.iter().map(|server| endpoint(server, config.tls.as_ref())).collect()
}

fn endpoint(server: &str, tls: Option<&EtcdTls>) -> Result<Endpoint, ConnectError> {
    let address = |source| ConnectError::Address { server: server.to_owned(), source };
    let endpoint = Endpoint::from_shared(server.to_owned())
        .map_err(address)?
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        // Stock values; `members` notices sooner where there is another member to go to.
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        // Large ranges and watch bursts must not wait for window updates.
        .initial_stream_window_size(4 * 1024 * 1024)
        .initial_connection_window_size(16 * 1024 * 1024);
    if !server.starts_with("https://") {
        return Ok(endpoint);
    }
    let mut config = ClientTlsConfig::new();
    if let Some(ca) = tls.and_then(|tls| tls.ca_pem.as_ref()) {
        config = config.ca_certificate(Certificate::from_pem(ca));
    }
    if let Some((cert, key)) = tls.and_then(|tls| tls.identity_pem.as_ref()) {
        config = config.identity(Identity::from_pem(cert, key));
    }
    endpoint.tls_config(config).map_err(|source| ConnectError::Tls { server: server.to_owned(), source })
}
