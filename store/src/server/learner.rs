//! What a learner serves: its status, a snapshot, and serializable reads. Everything else is refused.
//!
//! That a read is serializable is seen in its message: [`super::kv`] asks for it.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::error::Error;
use crate::status::Identity;

const SERVED: &[&str] = &[
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Snapshot",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
];

#[derive(Clone)]
pub struct LearnerGuard {
    pub identity: Identity,
}

impl<S> Layer<S> for LearnerGuard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { identity: self.identity.clone(), inner }
    }
}

#[derive(Clone)]
pub struct Guarded<S> {
    identity: Identity,
    inner: S,
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.identity.is_learner() && !SERVED.contains(&request.uri().path()) {
            return Either::Left(ready(Ok(Status::from(Error::NotSupportedForLearner).into_http())));
        }
        Either::Right(self.inner.call(request))
    }
}
