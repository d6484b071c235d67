//! One HTTP/1.1 request to a kubelet or a pod, forwarded as it came; upgrades become tunnels.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, UPGRADE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::{Scheme, Upstream};
use super::tunnel;
use crate::error::ApiError;
use crate::http::body::{Answer, BoxError};
use crate::limits;

/// How we present ourselves to kubelets, and which of a node's addresses we use.
#[derive(Clone)]
pub struct Kubelets {
    tls: Arc<ClientConfig>,
    preferred_addresses: Arc<[String]>,
}

#[derive(Debug, thiserror::Error)]
pub enum KubeletsError {
    #[error("the kubelet certificate authority cannot be read")]
    Authority(#[source] rustls::pki_types::pem::Error),
    #[error("the kubelet certificate authority is no certificate")]
    Root(#[source] rustls::Error),
    #[error("the kubelet client certificate or key cannot be read")]
    Client(#[source] rustls::pki_types::pem::Error),
    #[error("the kubelet client certificate and key do not go together")]
    Pair(#[source] rustls::Error),
}

impl Kubelets {
    pub fn new(
        ca_pem: &[u8],
        client_pem: Option<(&[u8], &[u8])>,
        preferred_addresses: Vec<String>,
    ) -> Result<Kubelets, KubeletsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            roots.add(certificate.map_err(KubeletsError::Authority)?).map_err(KubeletsError::Root)?;
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let tls = match client_pem {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>();
                let key = PrivateKeyDer::from_pem_slice(key).map_err(KubeletsError::Client)?;
                let chain = chain.map_err(KubeletsError::Client)?;
                builder.with_client_auth_cert(chain, key).map_err(KubeletsError::Pair)?
            }
        };
        Ok(Kubelets { tls: Arc::new(tls), preferred_addresses: preferred_addresses.into() })
    }

    pub fn preferred_addresses(&self) -> &[String] {
        &self.preferred_addresses
    }
}

/// Headers of one hop; they mean something else on the next.
const HOP: &[&str] =
    &["keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"];

pub async fn forward(
    kubelets: &Kubelets,
    upstream: Upstream,
    request: Request<Incoming>,
) -> Result<Answer, ApiError> {
    let refused = |error: String| {
        ApiError::internal(format!("error dialing backend: {}:{}: {error}", upstream.host, upstream.port))
    };
    let connect = connected(kubelets, &upstream);
    let io = tokio::time::timeout(limits::UPSTREAM_CONNECT_TIMEOUT, connect)
        .await
        .map_err(|_| refused("timed out".into()))?
        .map_err(|error| refused(error.to_string()))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(io)).await.map_err(|error| refused(error.to_string()))?;
    tokio::spawn(connection.with_upgrades());
    let (parts, body) = request.into_parts();
    let mut onward = Request::new(body);
    *onward.method_mut() = parts.method.clone();
    *onward.uri_mut() = upstream.path_and_query.parse().map_err(|_| ApiError::bad_request("invalid path"))?;
    *onward.headers_mut() = onward_headers(&parts.headers, &upstream);
    let asks_upgrade = parts.headers.contains_key(UPGRADE);
    let mut response = sender.send_request(onward).await.map_err(|error| refused(error.to_string()))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && asks_upgrade {
        // The handle of our client's side lives in the parts of its request.
        tunnel::start(hyper::upgrade::on(Request::from_parts(parts, ())), hyper::upgrade::on(&mut response));
    }
    let mut answer = response.map(|body| body.map_err(BoxError::from).boxed_unsync());
    for name in HOP {
        answer.headers_mut().remove(*name);
    }
    Ok(answer)
}

/// The client's headers without its credentials; `Connection` stays for upgrades.
fn onward_headers(headers: &HeaderMap, upstream: &Upstream) -> HeaderMap {
    let mut onward = headers.clone();
    onward.remove(AUTHORIZATION);
    for name in HOP {
        onward.remove(*name);
    }
    if !headers.contains_key(UPGRADE) {
        onward.remove(CONNECTION);
    }
    let impersonation: Vec<HeaderName> =
        onward.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    impersonation.iter().for_each(|name| drop(onward.remove(name)));
    if let Ok(host) = HeaderValue::from_str(&authority(upstream)) {
        onward.insert(HOST, host);
    }
    onward
}

fn authority(upstream: &Upstream) -> String {
    if upstream.host.contains(':') {
        format!("[{}]:{}", upstream.host, upstream.port)
    } else {
        format!("{}:{}", upstream.host, upstream.port)
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

async fn connected(kubelets: &Kubelets, upstream: &Upstream) -> std::io::Result<Box<dyn Io>> {
    let stream = TcpStream::connect((upstream.host.as_str(), upstream.port)).await?;
    stream.set_nodelay(true)?;
    match upstream.scheme {
        Scheme::Http => Ok(Box::new(stream)),
        Scheme::Kubelet => {
            let name = ServerName::try_from(upstream.host.clone()).map_err(std::io::Error::other)?;
            Ok(Box::new(TlsConnector::from(kubelets.tls.clone()).connect(name, stream).await?))
        }
    }
}
