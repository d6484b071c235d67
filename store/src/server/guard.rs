//! What may refuse a request before its service sees it, by its path and its metadata alone.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::error::Error;

pub trait Guard: Clone {
    /// `None`: let it pass. `path` is `/package.Service/Method`.
    fn refusal(&self, path: &str, metadata: &HeaderMap) -> Option<Error>;
}

/// Puts a guard before services.
pub struct GuardLayer<G>(pub G);

impl<G: Guard, S> Layer<S> for GuardLayer<G> {
    type Service = Guarded<G, S>;

    fn layer(&self, inner: S) -> Guarded<G, S> {
        Guarded { guard: self.0.clone(), inner }
    }
}

#[derive(Clone)]
pub struct Guarded<G, S> {
    guard: G,
    inner: S,
}

impl<G, S, B> Service<Request<B>> for Guarded<G, S>
where
    G: Guard,
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.guard.refusal(request.uri().path(), request.headers()) {
            Some(error) => Either::Left(ready(Ok(Status::from(error).into_http()))),
            None => Either::Right(self.inner.call(request)),
        }
    }
}
