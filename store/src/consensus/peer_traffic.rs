//! Counts the bytes between this member and each of the others: the bodies of the calls that it makes and that it answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Either};
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::peers::FROM_KEY;
use crate::metrics::peers::PeerCounts;
use crate::metrics::{Counter, PeerMetrics};

/// Calls to one member.
#[derive(Clone)]
pub struct Outbound<S> {
    pub inner: S,
    pub peer: Arc<PeerCounts>,
}

impl<S> Service<Request<Body>> for Outbound<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sent = Tally { bytes: self.peer.sent_bytes.clone(), failures: None };
        let failures = Some(self.peer.receive_failures.clone());
        let received = Tally { bytes: self.peer.received_bytes.clone(), failures };
        let answer = self.inner.call(request.map(|body| sent.count(body)));
        answer.map(|answer| answer.map(|response| response.map(|body| received.count(body)))).boxed()
    }
}

/// Calls of other members, who say who they are.
#[derive(Clone)]
pub struct Inbound<S> {
    pub inner: S,
    pub peers: PeerMetrics,
}

impl<S> Service<Request<Body>> for Inbound<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(peer) = caller(request.headers()).and_then(|id| self.peers.known(id)) else {
            return Either::Left(self.inner.call(request));
        };
        let failures = Some(peer.receive_failures.clone());
        let received = Tally { bytes: peer.received_bytes.clone(), failures };
        let sent = Tally { bytes: peer.sent_bytes.clone(), failures: None };
        let answer = self.inner.call(request.map(|body| received.count(body)));
        Either::Right(
            answer.map(|answer| answer.map(|response| response.map(|body| sent.count(body)))).boxed(),
        )
    }
}

/// Who a call says that it is from.
pub fn caller(headers: &HeaderMap) -> Option<u64> {
    headers.get(FROM_KEY)?.to_str().ok()?.parse().ok()
}

/// What is done with each piece of a body.
struct Tally {
    bytes: Counter,
    /// Of bodies that break off.
    failures: Option<Counter>,
}

impl Tally {
    fn count(self, inner: Body) -> Body {
        Body::new(Counted { inner, tally: self })
    }
}

struct Counted {
    inner: Body,
    tally: Tally,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match (&frame, &self.tally.failures) {
            (Some(Ok(frame)), _) => {
                self.tally.bytes.add(frame.data_ref().map_or(0, |data| data.len() as u64))
            }
            (Some(Err(_)), Some(failures)) => failures.inc(),
            (Some(Err(_)), None) | (None, _) => {}
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
