//! The agent's own port (10250): logs, exec, attach, port-forward, and what it knows, for the API server.
//!
//! HTTPS; who asks is told by a client certificate of the cluster's CA. The API server itself and `system:masters` may do
//! everything; everyone else is asked about with a SubjectAccessReview, as the stock kubelet does with webhook mode.
//!
//! | file | what |
//! |---|---|
//! | [`tls`] | the certificate that is shown, and whose certificates are believed |
//! | [`auth`] | who it is, and whether they may |
//! | [`route`] | paths to verbs |
//! | [`logs`], [`log_line`], [`log_file`] | container logs, followed without polling |
//! | [`stream`] | exec, attach and port-forward, tunnelled to the runtime's streaming server |
//! | [`rotate`] | log rotation |

pub mod auth;
pub mod log_file;
pub mod log_line;
pub mod logs;
pub mod rotate;
pub mod route;
pub mod stream;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};

use crate::api_link::ApiLink;
use crate::limits;
use crate::pod::dispatch::Pods;
use crate::pod::paths::Paths;
use crate::runtime::Runtime;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listen on {address} for the node agent's own API (is the port taken by another kubelet?)")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// What requests are answered from.
pub struct Context {
    pub runtime: Arc<dyn Runtime>,
    pub link: Option<Arc<dyn ApiLink>>,
    pub pods: watch::Receiver<Pods>,
    /// Counts changes in the runtime, so that a followed log ends with its container.
    pub generation: watch::Receiver<u64>,
    pub paths: Paths,
    pub node_name: String,
}

pub struct Server {
    listener: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
    context: Arc<Context>,
}

impl Server {
    /// Binds now, so that a taken port is told at start.
    pub async fn bind(address: SocketAddr, identity: tls::Identity, context: Context) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })?;
        let config = tls::server_config(&identity)?;
        info!(%address, "node agent API listens");
        Ok(Self {
            listener,
            acceptor: tokio_rustls::TlsAcceptor::from(Arc::new(config)),
            context: Arc::new(context),
        })
    }

    pub async fn run(self, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(limits::SERVER_CONNECTIONS));
        let tracker = TaskTracker::new();
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { break };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            let stream = match accepted {
                Ok((stream, _peer)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: a pause lets some close.
                    debug!(%error, "accept");
                    tokio::time::sleep(limits::REGISTER_RETRY).await;
                    continue;
                }
            };
            let (acceptor, context, stop) = (self.acceptor.clone(), self.context.clone(), shutdown.clone());
            tracker.spawn(async move {
                tokio::select! {
                    () = serve(stream, acceptor, context) => {}
                    () = stop.cancelled() => {}
                }
                drop(slot);
            });
        }
        tracker.close();
        tracker.wait().await;
    }
}

async fn serve(stream: tokio::net::TcpStream, acceptor: tokio_rustls::TlsAcceptor, context: Arc<Context>) {
    stream.set_nodelay(true).ok();
    let stream = match tokio::time::timeout(limits::SERVER_HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "TLS handshake"),
        Err(_) => return debug!("TLS handshake took too long"),
    };
    let peer =
        stream.get_ref().1.peer_certificates().and_then(|chain| auth::User::from_certificate(chain.first()?));
    let peer = Arc::new(peer);
    let service = hyper::service::service_fn(move |request| {
        let (context, peer) = (context.clone(), peer.clone());
        async move {
            Ok::<_, std::convert::Infallible>(route::answer(context, peer.as_ref().as_ref(), request).await)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(limits::SERVER_HANDSHAKE);
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        debug!(%error, "connection");
    }
}
