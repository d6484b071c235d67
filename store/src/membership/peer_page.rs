//! One page of another member's peer port, asked for over a connection of its own.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;

use crate::config::Url;
use crate::limits::{MAX_PEER_PAGE_BYTES, PEER_PAGE_TIMEOUT};
use crate::server::connect::Connector;

pub struct PeerPage {
    pub headers: HeaderMap,
    pub body: Bytes,
    /// From the request to the end of the answer, once there was a connection.
    pub took: Duration,
}

/// The page, or a few words about why there is none.
pub async fn get(url: &Url, connector: &Connector, path: &str) -> Result<PeerPage, String> {
    let page = tokio::time::timeout(PEER_PAGE_TIMEOUT, exchange(url, connector, path)).await;
    page.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn exchange(url: &Url, connector: &Connector, path: &str) -> Result<PeerPage, String> {
    let stream = connector.connect(url).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let request = http::Request::get(path)
        .header(http::header::HOST, url.authority())
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let began = Instant::now();
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if response.status() != http::StatusCode::OK {
            return Err(format!("it answers {}", response.status()));
        }
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_PEER_PAGE_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(PeerPage { headers: head.headers, body, took: began.elapsed() })
    };
    tokio::select! {
        page = exchange => page,
        // It ends before its answer only with an error.
        ended = connection => Err(ended.err().map_or_else(|| "it hung up".to_owned(), |error| error.to_string())),
    }
}
