//! The accept loop: TCP, TLS, HTTP/1.1 or 2, one task per connection, and an end that waits for open requests.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::front::Front;
use crate::limits;

/// The certificates that a connection's client presented, its own first.
pub type PeerCertificates = Arc<[CertificateDer<'static>]>;

pub async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    front: Arc<Front>,
    shutdown: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: others must first be closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(limits::RECONNECT_DELAY).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => break,
        };
        let (acceptor, front, watcher) = (acceptor.clone(), front.clone(), graceful.watcher());
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            let handshake = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, handshake(stream, acceptor));
            let Ok(Ok((stream, peer))) = handshake.await else { return };
            let service = service_fn(move |request: http::Request<Incoming>| {
                let (front, peer) = (front.clone(), peer.clone());
                async move { Ok::<_, std::convert::Infallible>(front.answer(request, peer).await) }
            });
            let builder = builder();
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
            let connection = watcher.watch(connection.into_owned());
            if let Err(error) = connection.await
                && !shutdown.is_cancelled()
            {
                tracing::debug!(error, "connection ended");
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(limits::SHUTDOWN_GRACE, graceful.shutdown()).await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::HTTP2_STREAMS)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .keep_alive_interval(std::time::Duration::from_secs(30));
    builder
}

async fn handshake(
    stream: TcpStream,
    acceptor: TlsAcceptor,
) -> std::io::Result<(tokio_rustls::server::TlsStream<TcpStream>, PeerCertificates)> {
    // Watch events are small and must not wait for a full segment.
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let peer = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer: PeerCertificates = peer.iter().map(|certificate| certificate.clone().into_owned()).collect();
    Ok((stream, peer))
}
