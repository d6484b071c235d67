//! Wires the parts and owns their tasks: cache reflector, compactor, bootstrap, accept loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use balsa_proto::reloading_cert::CertError;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::alloc::{AllocConfig, Allocator};
use crate::authn::{Authenticator, CaError};
use crate::authz::Authorizer;
use crate::bootstrap::{self, Facts};
use crate::cache::{Cache, Reader, Reflector};
use crate::config::{Config, ConfigError, first_address};
use crate::http::front::Front;
use crate::http::serve::serve;
use crate::http::tls::server_config;
use crate::kinds;
use crate::pipeline::{Api, SharedApi};
use crate::proxy::{Kubelets, KubeletsError};
use crate::storage::{Compactor, ConnectError, Store};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Etcd(#[from] ConnectError),
    #[error(transparent)]
    ClientCa(#[from] CaError),
    #[error(transparent)]
    Kubelets(#[from] KubeletsError),
    #[error("the serving certificate cannot be used")]
    Tls(#[from] CertError),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// Serves until `shutdown`; `ready` fires when requests are answered and the first objects exist.
pub async fn run(
    config: Config,
    ready: oneshot::Sender<()>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let store = Store::connect(&config.etcd)?;
    let cache = Cache::new(kinds::all());
    let acceptor = TlsAcceptor::from(server_config(config.serving.clone())?);
    let listener = TcpListener::bind(config.bind)
        .await
        .map_err(|source| Error::Listen { address: config.bind, source })?;
    let port = listener.local_addr().map_or(config.bind.port(), |address| address.port());
    let advertised = SocketAddr::new(config.advertise_address, port);
    let facts = Facts {
        service_address: first_address(config.service_range),
        advertised,
        service_range: config.service_range,
        client_ca_pem: config.authn.client_ca_pem.clone(),
    };
    let api = api(config, store.clone(), cache.clone())?;

    let mut tasks = JoinSet::new();
    // The cache outlives the accept loop: requests that are still open need it.
    let cache_shutdown = CancellationToken::new();
    let _stops_cache = cache_shutdown.clone().drop_guard();
    tasks.spawn(store.clone().watch_over(cache_shutdown.clone()));
    tasks.spawn(Reflector::new(cache, store.clone()).run(cache_shutdown.clone()));
    tasks.spawn(Compactor::new(store).run(shutdown.clone()));
    tasks.spawn(start_up(api.clone(), facts, ready, shutdown.clone()));
    let front = Arc::new(Front::new(api, advertised.to_string(), shutdown.clone()));
    serve(listener, acceptor, front, shutdown).await;
    cache_shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    Ok(())
}

fn api(config: Config, store: Store, cache: Cache) -> Result<SharedApi, Error> {
    let reader: Arc<dyn Reader> = Arc::new(cache.clone());
    let client = &config.kubelet_client;
    let client_pem = Some((client.cert_pem.as_bytes(), client.key_pem.as_bytes()));
    let kubelets = Kubelets::new(config.kubelet_ca_pem.as_bytes(), client_pem, config.kubelet_address_types)?;
    let alloc = AllocConfig {
        service_ranges: vec![config.service_range],
        node_ports: config.node_ports,
        prefix: store.prefix().to_owned(),
    };
    Ok(Arc::new(Api {
        authenticator: Authenticator::new(config.authn, reader.clone())?,
        authorizer: Authorizer::new(reader.clone()),
        allocator: Allocator::new(alloc, reader),
        store,
        cache,
        kubelets,
        bootstrapped: AtomicBool::new(false),
    }))
}

async fn start_up(api: SharedApi, facts: Facts, ready: oneshot::Sender<()>, shutdown: CancellationToken) {
    let work = async {
        api.cache.wait_filled().await;
        bootstrap::run(&api, &facts).await;
    };
    tokio::select! {
        () = work => {
            tracing::info!(revision = api.cache.revision(), "apiserver is ready");
            // Nobody waiting is fine: the caller may only be interested in the end.
            let _ = ready.send(());
        }
        () = shutdown.cancelled() => return,
    }
    bootstrap::keep(&api, &facts, &shutdown).await;
}
