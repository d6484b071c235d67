//! `/healthz`, `/livez` and `/readyz` over TLS, where the stock components serve them: 10257 for the controllers,
//! 10259 for the scheduler. The apiserver asks there for component statuses, and probes of manifests do.
//!
//! The certificate is made at start and signs itself, as that of a stock component without `--tls-cert-file`.
//! Nothing else is served, and nobody has to say who he is: the answers are `ok`, or why not.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::error::Error;
use crate::limits::{ACCEPT_RETRY, HANDSHAKE_TIMEOUT};

/// Where to answer.
#[derive(Clone, Copy, Debug)]
pub struct HealthConfig {
    pub address: IpAddr,
    /// 0: nowhere.
    pub port: u16,
}

/// What is told about the component; cheap to clone.
#[derive(Clone, Default)]
pub struct Health {
    is_ready: Arc<AtomicBool>,
}

impl Health {
    /// A sender in place of `ready`: when it fires, `/readyz` says so too.
    pub fn when(&self, ready: oneshot::Sender<()>) -> oneshot::Sender<()> {
        let (sender, fired) = oneshot::channel();
        let health = self.clone();
        tokio::spawn(async move {
            if fired.await.is_ok() {
                health.set_ready();
                // Nobody waiting is fine: the caller may only be interested in the end.
                let _ = ready.send(());
            }
        });
        sender
    }

    fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }

    fn answer(&self, path: &str) -> (StatusCode, &'static str) {
        match path {
            "/healthz" | "/livez" => (StatusCode::OK, "ok"),
            "/readyz" if self.is_ready.load(Ordering::Acquire) => (StatusCode::OK, "ok"),
            "/readyz" => (StatusCode::INTERNAL_SERVER_ERROR, "the caches are not complete yet"),
            _ => (StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    /// Listens, then answers in a task of its own until `shutdown`.
    pub async fn serve(&self, config: HealthConfig, shutdown: CancellationToken) -> Result<(), Error> {
        if config.port == 0 {
            return Ok(());
        }
        let address = SocketAddr::new(config.address, config.port);
        let acceptor = TlsAcceptor::from(Arc::new(own_certificate()?));
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let health = self.clone();
        tokio::spawn(async move { health.accept(listener, acceptor, shutdown).await });
        Ok(())
    }

    async fn accept(self, listener: TcpListener, acceptor: TlsAcceptor, shutdown: CancellationToken) {
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => return,
            };
            match stream {
                Ok((stream, _)) => {
                    tokio::spawn(self.clone().converse(stream, acceptor.clone(), shutdown.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: others must first be closed.
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    async fn converse(self, stream: TcpStream, acceptor: TlsAcceptor, shutdown: CancellationToken) {
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
        let Ok(Ok(stream)) = handshake.await else { return };
        let service = service_fn(move |request: Request<Incoming>| {
            let (code, text) = self.answer(request.uri().path());
            async move { Ok::<_, Infallible>(response(code, text)) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new());
        tokio::select! {
            ended = builder.serve_connection(TokioIo::new(stream), service) => {
                if let Err(error) = ended {
                    debug!(error, "connection ended");
                }
            }
            () = shutdown.cancelled() => {}
        }
    }
}

fn response(code: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = code;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

fn own_certificate() -> Result<ServerConfig, Error> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made =
        rcgen::generate_simple_self_signed(names).map_err(|source| Error::OwnCertificate { source })?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
        })
        .map_err(|source| Error::Tls { source })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alive_from_the_start_ready_later_and_silent_about_the_rest() {
        let health = Health::default();
        assert_eq!(health.answer("/healthz").0, StatusCode::OK);
        assert_eq!(health.answer("/readyz").0, StatusCode::INTERNAL_SERVER_ERROR);
        health.set_ready();
        assert_eq!(health.answer("/readyz"), (StatusCode::OK, "ok"));
        assert_eq!(health.answer("/metrics").0, StatusCode::NOT_FOUND);
        assert!(own_certificate().is_ok());
    }
}
