//! To one service by its name, and to all others by the router.
//!
//! Most requests are for the KV service. The router would look each up in its tree and box what it finds anew.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::Either;
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

/// Cheap to clone.
#[derive(Clone)]
pub struct Dispatch<S> {
    pub first: S,
    pub others: Routes,
}

impl<S> Service<Request<Body>> for Dispatch<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, <Routes as Service<Request<Body>>>::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Both are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if is_for(S::NAME, request.uri().path()) {
            return Either::Left(self.first.call(request));
        }
        Either::Right(self.others.call(request))
    }
}

/// Paths are `/package.Service/Method`.
fn is_for(service: &str, path: &str) -> bool {
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(service));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::is_for;

    #[test]
    fn a_service_is_known_by_its_whole_name() {
        assert!(is_for("etcdserverpb.KV", "/etcdserverpb.KV/Put"));
        for other in ["/etcdserverpb.KVs/Put", "/etcdserverpb.K/Put", "etcdserverpb.KV/Put", "/", ""] {
            assert!(!is_for("etcdserverpb.KV", other), "{other}");
        }
    }
}
