//! The request metadata `hasleader: true`: the client would rather hear `no leader` than wait.
//!
//! Refused at once when no leader is known; a stream ends after some election timeouts without one.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, Either, Ready, ready};
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::consensus::ConsensusHandle;
use crate::error::Error;
use crate::limits::NO_LEADER_ELECTION_TIMEOUTS;

const KEY: &str = "hasleader";

pub fn wants_leader(headers: &HeaderMap) -> bool {
    headers.get(KEY).is_some_and(|value| value == "true")
}

/// Resolves when there has been no leader for too long; never if `wanted` is false.
pub async fn lost(wanted: bool, consensus: ConsensusHandle, election_timeout: Duration) {
    if !wanted {
        return std::future::pending().await;
    }
    let patience = NO_LEADER_ELECTION_TIMEOUTS * election_timeout;
    let mut leadership = consensus.watch_leadership();
    loop {
        if leadership.wait_for(|leadership| leadership.leader.is_none()).await.is_err() {
            return;
        }
        let back = leadership.wait_for(|leadership| leadership.leader.is_some());
        if !matches!(tokio::time::timeout(patience, back).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// Refuses requests that want a leader while none is known.
#[derive(Clone)]
pub struct NeedLeader {
    pub consensus: ConsensusHandle,
}

impl<S> Layer<S> for NeedLeader {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { consensus: self.consensus.clone(), inner }
    }
}

#[derive(Clone)]
pub struct Guarded<S> {
    consensus: ConsensusHandle,
    inner: S,
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<
        Ready<Result<Response<Body>, Infallible>>,
        BoxFuture<'static, Result<Response<Body>, Infallible>>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if wants_leader(request.headers()) && self.consensus.leadership().leader.is_none() {
            return Either::Left(ready(Ok(Status::from(Error::NoLeader).into_http())));
        }
        Either::Right(Box::pin(self.inner.call(request)))
    }
}
