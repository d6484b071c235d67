//! The health check against a server that speaks gRPC's frames, written by hand.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::grpc::check;

/// Answers every check with `status`; `None`: with the error NOT_FOUND, as for a service that is not known.
async fn serve(status: Option<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service =
            hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                Ok::<_, Infallible>(answer(status))
            });
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(TokioIo::new(stream), service).await.ok();
    });
    port
}

type Frames = futures::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

fn answer(status: Option<u8>) -> Response<StreamBody<Frames>> {
    let mut frames = Vec::new();
    // A message: not compressed, two bytes long, field 1 as a varint.
    frames.extend(status.map(|status| Ok(Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status])))));
    let code = if status.is_some() { "0" } else { "5" };
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static(code),
    )]);
    frames.push(Ok(Frame::trailers(trailers)));
    let mut response = Response::new(StreamBody::new(futures::stream::iter(frames)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

#[tokio::test]
async fn only_serving_passes() {
    let check = |status| async move { check("127.0.0.1", serve(status).await, "").await };
    assert_eq!(check(Some(1)).await, Ok(()));
    let refused = |word: &str| Err(format!("service unhealthy (responded with \"{word}\")"));
    assert_eq!(check(Some(2)).await, refused("NOT_SERVING"));
    assert_eq!(check(Some(0)).await, refused("UNKNOWN"));
    assert!(check(None).await.unwrap_err().starts_with("error: health rpc probe failed: "));
}

#[tokio::test]
async fn nobody_there_is_a_failure() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = check("127.0.0.1", gone, "").await.unwrap_err();
    assert!(
        error.starts_with(&format!("error: failed to connect service at \"127.0.0.1:{gone}\"")),
        "{error}"
    );
}
