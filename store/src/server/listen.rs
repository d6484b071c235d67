//! Listeners: one port for gRPC and plain HTTP, over TCP or a socket in the file system, in the clear or with TLS, as the
//! URL's scheme says.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use super::authority::AuthorityFilter;
use super::credentials::{self, CommonName, Connection};
use super::tls::{Inbound, check_origin};
use crate::config::{Address, Serving, Url};
use crate::limits::{CONNECTION_WINDOW_BYTES, DRAIN_TIMEOUT, STREAM_WINDOW_BYTES, TLS_HANDSHAKE_TIMEOUT};

#[derive(Debug, thiserror::Error)]
#[error("{url} cannot be listened on")]
pub struct BindError {
    pub url: String,
    pub source: io::Error,
}

/// Connections that wait to be accepted, as the standard library has it.
const ACCEPT_BACKLOG: u32 = 128;

/// A bound port that does not accept yet.
pub struct Listener {
    socket: Socket,
    tls: Option<Inbound>,
    http: Builder<TokioExecutor>,
}

impl Listener {
    pub async fn bind(url: &Url, tls: Option<&Inbound>, serving: &Serving) -> Result<Listener, BindError> {
        let socket = Socket::bind(url, serving.reuse_port).await;
        let socket = socket.map_err(|source| BindError { url: url.to_string(), source })?;
        Ok(Listener { socket, tls: tls.filter(|_| url.tls).cloned(), http: builder(serving) })
    }

    /// Accepts until `shutdown`, then lets open requests finish for a moment.
    pub async fn serve<S>(self, service: S, shutdown: CancellationToken)
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let http = Arc::new(self.http);
        let (graceful, cut) = (GracefulShutdown::new(), CancellationToken::new());
        while let Some(accepted) = shutdown.run_until_cancelled(self.socket.accept()).await {
            let (stream, origin) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, as a rule: closing connections will help.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (http, service, watcher) = (http.clone(), service.clone(), graceful.watcher());
            let (tls, cut) = (self.tls.clone(), cut.clone());
            tokio::spawn(async move {
                let Some((stream, known)) = prepare(stream, origin, tls).await else { return };
                let service = TowerToHyperService::new(service.map_request(move |mut request| {
                    credentials::remember(Request::extensions_mut(&mut request), &known);
                    request
                }));
                let connection =
                    http.serve_connection_with_upgrades(TokioIo::new(AuthorityFilter::new(stream)), service);
                tokio::select! {
                    served = watcher.watch(connection.into_owned()) => if let Err(error) = served {
                        tracing::debug!(%error, "a connection ended with an error");
                    },
                    () = cut.cancelled_owned() => {}
                }
            });
        }
        drop(self.socket);
        if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
            tracing::debug!("open requests are cut off");
        }
        cut.cancel();
    }
}

/// A byte stream, in the clear or not.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// With what its beginning tells of the client.
async fn prepare(
    stream: Box<dyn Duplex>,
    origin: Option<IpAddr>,
    tls: Option<Inbound>,
) -> Option<(Box<dyn Duplex>, Connection)> {
    let Some(tls) = tls else { return Some((stream, Connection::default())) };
    match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, shake_hands(stream, origin, tls)).await {
        Ok(Ok(prepared)) => Some(prepared),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

async fn shake_hands(
    stream: Box<dyn Duplex>,
    origin: Option<IpAddr>,
    tls: Inbound,
) -> io::Result<(Box<dyn Duplex>, Connection)> {
    let stream = TlsAcceptor::from(tls.config).accept(stream).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
    if let (Some(shown), Some(origin), true) = (&shown, origin, tls.checks_origin) {
        check_origin(shown, origin).await.map_err(|foreign| {
            tracing::warn!(error = %foreign, "a connection is refused");
            io::Error::other(foreign)
        })?;
    }
    let common_name = shown.and_then(|certificate| CommonName::of_certificate(&certificate));
    Ok((Box::new(stream), Connection { is_encrypted: true, common_name }))
}

/// What connections come from.
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// Removed when nobody listens any more.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        drop(std::fs::remove_file(&self.0));
    }
}

impl Socket {
    async fn bind(url: &Url, reuse_port: bool) -> io::Result<Socket> {
        match &url.address {
            Address::Tcp { port, .. } => bind(url.host(), *port, reuse_port).await.map(Socket::Tcp),
            Address::Socket(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                Ok(Socket::Unix { listener, _file: SocketFile(path.clone()) })
            }
        }
    }

    /// A connection and the address that it comes from, if it has one.
    async fn accept(&self) -> io::Result<(Box<dyn Duplex>, Option<IpAddr>)> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection keeps Nagle's delay");
                }
                Ok((Box::new(stream), Some(from.ip().to_canonical())))
            }
            Socket::Unix { listener, .. } => Ok((Box::new(listener.accept().await?.0), None)),
        }
    }
}

/// What a process left that was killed. A file that is no socket stays, and cannot be bound; neither can a socket on which
/// somebody listens.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            let is_live = std::os::unix::net::UnixStream::connect(path).is_ok();
            if is_live { Ok(()) } else { std::fs::remove_file(path) }
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The first address of the host that can be bound.
async fn bind(host: String, port: u16, reuse_port: bool) -> io::Result<TcpListener> {
    let mut refused = io::Error::other("the host has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match listen(address, reuse_port) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn listen(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(reuse_port)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

fn builder(serving: &Serving) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(serving.max_concurrent_streams)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(serving.ping_interval)
        .keep_alive_timeout(serving.ping_timeout);
    builder
}
