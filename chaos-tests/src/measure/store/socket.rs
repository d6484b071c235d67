//! The way to a member: plain, or over TLS to whoever answers, since members make their certificates themselves
//! (`--auto-tls`).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result, bail};
use balsa_proto::unverified;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

#[derive(Debug)]
pub enum Socket {
    Plain(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
}

/// The host and the port of an `http://` or `https://` endpoint, and whether it is the latter.
pub fn authority(endpoint: &str) -> Result<(&str, bool)> {
    match endpoint.split_once("://") {
        Some(("http", authority)) => Ok((authority, false)),
        Some(("https", authority)) => Ok((authority, true)),
        _ => bail!("the endpoint {endpoint} is neither http:// nor https://"),
    }
}

impl Socket {
    pub async fn connect(endpoint: &str) -> Result<Socket> {
        let (authority, secured) = authority(endpoint)?;
        let stream = TcpStream::connect(authority).await.context("connect")?;
        stream.set_nodelay(true).context("set an option of the connection")?;
        if !secured {
            return Ok(Socket::Plain(stream));
        }
        let mut config = unverified::client_config(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::IpAddress(stream.peer_addr().context("look at the connection")?.ip().into());
        let secured = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        Ok(Socket::Secured(Box::new(secured.context("secure the connection")?)))
    }
}

/// A connection of a general client. `tune` sets its options.
pub async fn channel(endpoint: &str, tune: impl FnOnce(Endpoint) -> Endpoint) -> Result<Channel> {
    // What secures it is below what the client knows of.
    let (authority, _) = authority(endpoint)?;
    let client = Endpoint::from_shared(format!("http://{authority}")).context("parse the endpoint")?;
    let endpoint: Arc<str> = endpoint.into();
    let connector = service_fn(move |_| {
        let endpoint = endpoint.clone();
        async move { Socket::connect(&endpoint).await.map(TokioIo::new).map_err(io::Error::other) }
    });
    tune(client).connect_with_connector(connector).await.context("connect")
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_read(task, into),
            Socket::Secured(stream) => Pin::new(stream).poll_read(task, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, task: &mut TaskContext<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_write(task, from),
            Socket::Secured(stream) => Pin::new(stream).poll_write(task, from),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(task),
            Socket::Secured(stream) => Pin::new(stream).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(task),
            Socket::Secured(stream) => Pin::new(stream).poll_shutdown(task),
        }
    }
}
