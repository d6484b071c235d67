//! Bodies and responses: one body type for all answers, and the request body with its limit.

use std::io::Write;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{Stream, StreamExt, TryStreamExt};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, VARY};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody};

use crate::error::{ApiError, Status};
use crate::limits;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type Body = UnsyncBoxBody<Bytes, BoxError>;
pub type Answer = Response<Body>;

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub fn stream<S>(chunks: S) -> Body
where
    S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
{
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}

pub fn respond(code: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub fn json(code: StatusCode, bytes: impl Into<Bytes>) -> Answer {
    respond(code, "application/json", bytes)
}

pub fn text(code: StatusCode, bytes: impl Into<Bytes>) -> Answer {
    respond(code, "text/plain; charset=utf-8", bytes)
}

/// An error as its Status; 429 and the like also carry `Retry-After`.
pub fn error(error: &ApiError) -> Answer {
    let status = error.status();
    let mut answer = self::status(status);
    let retry = status.details.as_ref().and_then(|details| details.retry_after_seconds);
    if let Some(value) = retry.and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok()) {
        answer.headers_mut().insert(http::header::RETRY_AFTER, value);
    }
    answer
}

pub fn status(status: &Status) -> Answer {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::OK);
    json(code, status.to_json())
}

/// The whole request body; 413 beyond the limit.
pub async fn read<B>(body: B) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = std::pin::pin!(body);
    match Limited::new(body.as_mut(), limits::REQUEST_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            drain(body).await;
            Err(ApiError::request_entity_too_large(limits::REQUEST_BODY_BYTES))
        }
        Err(error) => Err(ApiError::bad_request(format!("cannot read the request body: {error}"))),
    }
}

/// Reads and forgets what a client still sends, within bounds. An answer that overtakes an unread body resets the
/// HTTP/2 stream, and clients such as curl then report the reset in place of the answer.
pub async fn drain<B>(body: B)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = std::pin::pin!(Limited::new(body, limits::DRAINED_BODY_BYTES));
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    // Out of patience is as good as read: the client is told in either case.
    let _ = tokio::time::timeout(limits::DRAIN_TIMEOUT, rest).await;
}

/// Compresses a complete or streamed body, if it is worth it; the caller knows that the client accepts gzip.
pub fn gzip(answer: Answer, size_bytes: usize) -> Answer {
    if size_bytes < limits::GZIP_FROM_BYTES {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    parts.headers.remove(CONTENT_LENGTH);
    let encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    let chunks =
        futures::stream::unfold((body.into_data_stream(), encoder), |(mut body, encoder)| async move {
            let mut encoder = encoder?;
            loop {
                match body.next().await {
                    Some(Ok(chunk)) => {
                        if let Err(error) = encoder.write_all(&chunk) {
                            return Some((Err(error.into()), (body, None)));
                        }
                        let ready = std::mem::take(encoder.get_mut());
                        if !ready.is_empty() {
                            return Some((Ok(Bytes::from(ready)), (body, Some(encoder))));
                        }
                    }
                    Some(Err(error)) => return Some((Err(error), (body, None))),
                    None => {
                        let rest = encoder.finish().map(Bytes::from).map_err(Into::into);
                        return Some((rest, (body, None)));
                    }
                }
            }
        });
    Response::from_parts(parts, stream(chunks))
}

/// Pieces of about a chunk's size, joined from parts that are made one by one.
pub fn chunked<I>(mut parts: I) -> impl Stream<Item = Result<Bytes, BoxError>> + Send
where
    I: Iterator<Item = Part> + Send + 'static,
{
    futures::stream::iter(std::iter::from_fn(move || {
        let mut chunk = BytesMut::with_capacity(limits::LIST_CHUNK_BYTES + 4096);
        while chunk.len() < limits::LIST_CHUNK_BYTES {
            match parts.next() {
                Some(part) => part(&mut chunk),
                None => break,
            }
        }
        (!chunk.is_empty()).then(|| Ok(chunk.freeze()))
    }))
}

/// Writes itself to the end of a chunk.
pub type Part = Box<dyn FnOnce(&mut BytesMut) + Send>;
