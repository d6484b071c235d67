//! One question to a component beside us: `GET /healthz` over TLS on loopback.
//!
//! Components serve certificates that they made for themselves, as stock ones do; what counts is that a process on
//! this host answers `ok`. Nothing secret is sent, so the certificate is not looked at.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use balsa_proto::unverified;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::limits;

/// What the component said: its text if it is healthy, else why not.
pub async fn healthz(port: u16) -> Result<String, String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let named = |why: String| format!("Get \"https://{address}/healthz\": {why}");
    match tokio::time::timeout(limits::PROBE_TIMEOUT, ask(address)).await {
        Err(_) => Err(named("context deadline exceeded".to_owned())),
        Ok(Err(error)) => Err(named(error)),
        Ok(Ok((StatusCode::OK, body))) => Ok(body),
        Ok(Ok((_, body))) => Err(body),
    }
}

async fn ask(address: SocketAddr) -> Result<(StatusCode, String), String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("dial tcp {address}: connect: {}", plain(&error)))?;
    let name = ServerName::IpAddress(address.ip().into());
    let tls =
        TlsConnector::from(Arc::new(unverified::client_config(Arc::new(aws_lc_rs::default_provider()))));
    let stream = tls.connect(name, stream).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/healthz").header(http::header::HOST, address.to_string());
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = Limited::new(response.into_body(), limits::PROBE_BODY_BYTES).collect().await;
    connection.abort();
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).trim_end().to_owned()))
}

/// `connection refused`, as everybody knows it; other errors in the words of the system.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}
