//! Exec, attach and port-forward: the runtime gives the URL of its streaming server, and the client's upgraded
//! connection is joined with one to there, byte for byte. So SPDY and WebSocket work alike, in every version that the
//! runtime speaks. containerd before 2.0 refuses kubectl's first try (`v5.channel.k8s.io`, and WebSocket for port-forward)
//! with 403, and kubectl goes on with SPDY.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracing::debug;

use super::route::{Body, full, refusal, sentence};

/// Headers that make an upgrade; everything else stays on its side.
fn is_forwarded(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "connection"
        || name == "upgrade"
        || name == "x-stream-protocol-version"
        || name.starts_with("sec-websocket-")
}

fn forwarded(headers: &HeaderMap) -> HeaderMap {
    headers.iter().filter(|(name, _)| is_forwarded(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Joins `request` with the stream behind `url`.
pub async fn tunnel(mut request: Request<Incoming>, url: &str) -> Response<Body> {
    if !request.headers().contains_key(header::UPGRADE) {
        return sentence(StatusCode::BAD_REQUEST, "unable to upgrade: missing upgrade headers in request");
    }
    let answer = match dial(url, request.method().clone(), forwarded(request.headers())).await {
        Ok(answer) => answer,
        Err(error) => {
            return refusal(StatusCode::BAD_GATEWAY, &format!("cannot reach the runtime's stream: {error}"));
        }
    };
    let status = answer.status();
    let headers = forwarded(answer.headers());
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let body = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let mut response = Response::new(full(body));
        *response.status_mut() = status;
        return response;
    }
    let client = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let joined = async {
            let (client, runtime) = tokio::try_join!(client, hyper::upgrade::on(answer))?;
            let (mut client, mut runtime) = (TokioIo::new(client), TokioIo::new(runtime));
            tokio::io::copy_bidirectional(&mut client, &mut runtime).await.ok();
            Ok::<_, hyper::Error>(())
        };
        if let Err(error) = joined.await {
            debug!(%error, "stream not joined");
        }
    });
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

async fn dial(url: &str, method: Method, headers: HeaderMap) -> Result<Response<Incoming>, String> {
    let uri: http::Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    let authority = uri.authority().ok_or_else(|| format!("{url}: no authority"))?.clone();
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(&address).await.map_err(|error| format!("{address}: {error}"))?;
    stream.set_nodelay(true).ok();
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|error| format!("{path}: {error}"))?;
    *request.headers_mut() = headers;
    let host = authority.as_str().parse().map_err(|error| format!("{authority}: {error}"))?;
    request.headers_mut().insert(header::HOST, host);
    sender.send_request(request).await.map_err(|error| error.to_string())
}
