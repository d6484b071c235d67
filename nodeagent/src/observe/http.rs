//! The HTTP request of a probe or a hook: one connection, one GET, the status and the start of the body.

use std::sync::Arc;

use balsa_proto::unverified;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::limits;

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub is_tls: bool,
    pub host: String,
    pub port: u16,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Target {
    /// `None`: the port has no number.
    pub fn new(action: &HTTPGetAction, container: &Container, pod_ip: &str) -> Option<Self> {
        let headers = action.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone()));
        let path = action.path.as_deref().unwrap_or("/");
        Some(Self {
            is_tls: action.scheme.as_deref() == Some("HTTPS"),
            host: action.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| pod_ip.to_owned()),
            port: port_number(&action.port, container)?,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            headers: headers.collect(),
        })
    }

    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", authority(&self.host, self.port), self.path)
    }
}

/// A number, or the name of one of the container's ports.
pub fn port_number(port: &IntOrString, container: &Container) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())?
        }
    };
    u16::try_from(number).ok().filter(|port| *port > 0)
}

pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Status and the start of the body, or a text in the words of Go's client. No deadline of its own.
pub async fn get(target: &Target) -> Result<(u16, String), String> {
    let address = authority(&target.host, target.port);
    let failed = |text: String| format!("Get \"{}\": {text}", target.url());
    let stream = TcpStream::connect(&address).await.map_err(|error| failed(dial(&address, &error)))?;
    stream.set_nodelay(true).ok();
    if !target.is_tls {
        return exchange(target, stream).await.map_err(failed);
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|error| failed(error.to_string()))?;
    // A pod's certificate names the service and not the pod's address, so probes do not check it.
    let config = unverified::client_config(Arc::new(aws_lc_rs::default_provider()));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.map_err(|error| failed(error.to_string()))?;
    exchange(target, stream).await.map_err(failed)
}

pub fn dial(address: &str, error: &std::io::Error) -> String {
    let text = match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {address}: connect: {text}")
}

async fn exchange<S>(target: &Target, stream: S) -> Result<(u16, String), String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request(target)?).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            driver.abort();
            return Err(error.to_string());
        }
    };
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), limits::PROBE_OUTPUT_BYTES).collect().await;
    let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
    driver.abort();
    Ok((status, text))
}

fn request(target: &Target) -> Result<http::Request<Empty<Bytes>>, String> {
    let mut request = http::Request::get(&target.path);
    let has = |name: &str| target.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    if !has("host") {
        request = request.header("Host", authority(&target.host, target.port));
    }
    if !has("user-agent") {
        request = request.header("User-Agent", "kube-probe/1.36");
    }
    if !has("accept") {
        request = request.header("Accept", "*/*");
    }
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    request.header("Connection", "close").body(Empty::new()).map_err(|error| error.to_string())
}
