//! Listeners: one port for gRPC and plain HTTP, in the clear or over TLS as the URL's scheme says.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use crate::config::Url;
use crate::limits::{
    CLIENT_KEEPALIVE_INTERVAL, CLIENT_KEEPALIVE_TIMEOUT, CONNECTION_WINDOW_BYTES, DRAIN_TIMEOUT,
    STREAM_WINDOW_BYTES, TLS_HANDSHAKE_TIMEOUT,
};

#[derive(Debug, thiserror::Error)]
#[error("{url} cannot be listened on")]
pub struct BindError {
    pub url: String,
    pub source: io::Error,
}

/// A bound port that does not accept yet.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    pub async fn bind(url: &Url, tls: Option<&Arc<ServerConfig>>) -> Result<Listener, BindError> {
        let tcp = TcpListener::bind(url.bind_address()).await;
        let tcp = tcp.map_err(|source| BindError { url: url.to_string(), source })?;
        Ok(Listener { tcp, tls: tls.filter(|_| url.tls).cloned() })
    }

    /// Accepts until `shutdown`, then lets open requests finish for a moment.
    pub async fn serve<S>(self, service: S, shutdown: CancellationToken)
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let http = Arc::new(builder());
        let (graceful, cut) = (GracefulShutdown::new(), CancellationToken::new());
        let acceptor = self.tls.map(TlsAcceptor::from);
        while let Some(accepted) = shutdown.run_until_cancelled(self.tcp.accept()).await {
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, as a rule: closing connections will help.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (http, service, watcher) = (http.clone(), service.clone(), graceful.watcher());
            let (acceptor, cut) = (acceptor.clone(), cut.clone());
            tokio::spawn(async move {
                let Some(stream) = prepare(stream, acceptor).await else { return };
                let service = TowerToHyperService::new(service);
                let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
                tokio::select! {
                    served = watcher.watch(connection.into_owned()) => if let Err(error) = served {
                        tracing::debug!(%error, "a connection ended with an error");
                    },
                    () = cut.cancelled_owned() => {}
                }
            });
        }
        drop(self.tcp);
        if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
            tracing::debug!("open requests are cut off");
        }
        cut.cancel();
    }
}

/// A byte stream, in the clear or not.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

async fn prepare(stream: TcpStream, acceptor: Option<TlsAcceptor>) -> Option<Box<dyn Duplex>> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's delay");
    }
    let Some(acceptor) = acceptor else { return Some(Box::new(stream)) };
    match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(u32::MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(CLIENT_KEEPALIVE_INTERVAL)
        .keep_alive_timeout(CLIENT_KEEPALIVE_TIMEOUT);
    builder
}
