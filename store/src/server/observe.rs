//! Feeds [`RpcStats`]: stands before the services and looks at what goes in and out. What the library refused by itself
//! goes out in [other words](wording).
//!
//! A call is finished when its trailers went out; one whose body is dropped before was cancelled by its client.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::rpc_stats::{Bytes, Method, RpcStats};
use super::{client_version, wording};

#[derive(Clone)]
pub struct Observe {
    pub stats: RpcStats,
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { stats: self.stats.clone(), inner }
    }
}

#[derive(Clone)]
pub struct Observed<S> {
    stats: RpcStats,
    inner: S,
}

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(method) = self.stats.method(request.uri().path()) else {
            let (stats, path) = (self.stats.clone(), request.uri().path().to_owned());
            let named = move |response| wording::unknown(response, &path, |service| stats.serves(service));
            return self.inner.call(request).map(|answer| answer.map(named)).boxed();
        };
        method.started.fetch_add(1, Ordering::Relaxed);
        self.stats.versions.count(method.kind, client_version::of(request.headers()));
        let (method, bytes) = (method.clone(), self.stats.bytes.clone());
        let count = Count { method: method.clone(), bytes: bytes.clone(), frames: Frames::default() };
        let request = request.map(|inner| Body::new(Incoming { inner, count }));
        let count = Count { method, bytes, frames: Frames::default() };
        let call = Call { count, slow: self.stats.slow, began: Instant::now(), code: None };
        let answer = self.inner.call(request);
        answer.map(|answer| answer.map(|response| call.watch(response))).boxed()
    }
}

/// One direction of a call.
struct Count {
    method: Arc<Method>,
    bytes: Arc<Bytes>,
    frames: Frames,
}

/// One call under way; counted as finished when it is dropped. It counts what is sent.
struct Call {
    count: Count,
    slow: Duration,
    began: Instant,
    code: Option<Code>,
}

impl Call {
    fn watch(mut self, response: Response<Body>) -> Response<Body> {
        let response = wording::reworded(response);
        self.code = code(response.headers());
        response.map(|inner| Body::new(Outgoing { inner, call: self }))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.count.method.finished(self.code.unwrap_or(Code::Cancelled), self.began.elapsed(), self.slow);
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    Status::from_header_map(headers).map(|status| status.code())
}

/// Finds the messages in a stream of bytes: a flag, four bytes of length, the message.
#[derive(Debug, Default)]
struct Frames {
    head: [u8; 5],
    head_bytes: usize,
    body_bytes_left: usize,
}

impl Frames {
    /// How many messages begin in `bytes`.
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut begun = 0;
        while !bytes.is_empty() {
            if self.body_bytes_left > 0 {
                let skipped = self.body_bytes_left.min(bytes.len());
                self.body_bytes_left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[self.head_bytes] = bytes[0];
            self.head_bytes += 1;
            bytes = &bytes[1..];
            if self.head_bytes == self.head.len() {
                let [_, a, b, c, d] = self.head;
                self.body_bytes_left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.head_bytes = 0;
                begun += 1;
            }
        }
        begun
    }
}

struct Incoming {
    inner: Body,
    count: Count,
}

impl HttpBody for Incoming {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let Count { method, bytes, frames } = &mut self.count;
            method.received.fetch_add(frames.count(data), Ordering::Relaxed);
            bytes.received.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

struct Outgoing {
    inner: Body,
    call: Call,
}

impl HttpBody for Outgoing {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            if let Some(data) = frame.data_ref() {
                let Count { method, bytes, frames } = &mut self.call.count;
                method.sent.fetch_add(frames.count(data), Ordering::Relaxed);
                bytes.sent.fetch_add(data.len() as u64, Ordering::Relaxed);
            }
            if let Some(trailers) = frame.trailers_ref() {
                self.call.code = code(trailers);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let wire = [0, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        for cut in 0..wire.len() {
            let mut frames = Frames::default();
            let (first, second) = wire.split_at(cut);
            assert_eq!(frames.count(first) + frames.count(second), 3, "cut at {cut}");
        }
    }
}
