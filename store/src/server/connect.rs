//! Connections that this member makes to others: plain, or over TLS as the URL's scheme says.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::listen::Duplex;
use crate::config::Url;
use crate::limits::PEER_CONNECT_TIMEOUT;

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Connector {
    /// `None`: https is not spoken.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    pub async fn connect(&self, url: &Url) -> io::Result<Box<dyn Duplex>> {
        let connect = TcpStream::connect(url.bind_address());
        let stream = tokio::time::timeout(PEER_CONNECT_TIMEOUT, connect).await??;
        stream.set_nodelay(true)?;
        if !url.tls {
            return Ok(Box::new(stream));
        }
        let tls = self.tls.clone().ok_or_else(|| io::Error::other("no certificates are given for https"))?;
        let (host, _) = url.bind_address();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(tls).connect(name, stream).await?))
    }
}
