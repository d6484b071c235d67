//! Connections that this member makes to others: over TCP or a socket in the file system, plain or with TLS, as the URL's
//! scheme says.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::listen::Duplex;
use crate::config::{Address, Url};
use crate::limits::PEER_CONNECT_TIMEOUT;

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Connector {
    /// `None`: https is not spoken.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    pub async fn connect(&self, url: &Url) -> io::Result<Box<dyn Duplex>> {
        let stream = tokio::time::timeout(PEER_CONNECT_TIMEOUT, open(&url.address)).await??;
        if !url.tls {
            return Ok(stream);
        }
        let tls = self.tls.clone().ok_or_else(|| io::Error::other("no certificates are given for https"))?;
        let name = ServerName::try_from(url.host()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(tls).connect(name, stream).await?))
    }
}

async fn open(address: &Address) -> io::Result<Box<dyn Duplex>> {
    match address {
        Address::Tcp { host, port } => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        Address::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
    }
}
