//! All ports of a member, bound together before its state is opened: a port that is taken must not cost a recovery.

use super::listen::{BindError, Listener};
use super::tls::{self, Inbound, TlsError};
use crate::config::{Config, Serving, Url};

pub struct Ports {
    pub clients: Vec<Listener>,
    /// Plain HTTP for clients, when it has ports of its own.
    pub http: Vec<Listener>,
    pub metrics: Vec<Listener>,
    pub peers: Vec<Listener>,
}

#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("TLS is not usable")]
    Tls(#[from] TlsError),
}

impl Ports {
    pub async fn bind(config: &Config) -> Result<Ports, PortError> {
        let Serving { http_urls, metrics_urls, .. } = &config.serving;
        let client_urls = [&config.listen_client_urls, http_urls, metrics_urls].map(|urls| urls.as_slice());
        let client_tls = tls_for(&client_urls.concat(), || tls::inbound(&config.client_tls, &config.tls))?;
        let peer_tls = tls_for(&config.listen_peer_urls, || tls::inbound(&config.peer_tls, &config.tls))?;
        Ok(Ports {
            clients: bind_all(&config.listen_client_urls, client_tls.as_ref(), &config.serving).await?,
            http: bind_all(http_urls, client_tls.as_ref(), &config.serving).await?,
            metrics: bind_all(metrics_urls, client_tls.as_ref(), &config.serving).await?,
            peers: bind_all(&config.listen_peer_urls, peer_tls.as_ref(), &config.serving).await?,
        })
    }
}

async fn bind_all(
    urls: &[Url],
    tls: Option<&Inbound>,
    serving: &Serving,
) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    for url in urls {
        listeners.push(Listener::bind(url, tls, serving).await?);
    }
    Ok(listeners)
}

fn tls_for<T>(urls: &[Url], make: impl FnOnce() -> Result<T, TlsError>) -> Result<Option<T>, TlsError> {
    if urls.iter().any(|url| url.tls) { make().map(Some) } else { Ok(None) }
}
