//! Plain HTTP beside gRPC on the client port: health, version, metrics. Everything else is gRPC.

pub mod health;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use crate::metrics::Metrics;
use crate::status::{CLUSTER_VERSION, Identity, SERVER_VERSION};

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Routes a request by its path. Cheap to clone.
#[derive(Clone)]
pub struct Doors<G> {
    grpc: G,
    pages: Arc<Pages>,
}

pub struct Pages {
    pub identity: Identity,
    pub metrics: Arc<Metrics>,
}

impl<G> Doors<G> {
    pub fn new(grpc: G, pages: Arc<Pages>) -> Self {
        Doors { grpc, pages }
    }
}

impl<G> Service<Request<Incoming>> for Doors<G>
where
    G: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    G::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Each request gets a clone of the services, which waits for its own readiness.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if is_page(&request) {
            let pages = self.pages.clone();
            return Box::pin(async move { Ok(pages.answer(&request).await) });
        }
        let grpc = self.grpc.clone();
        Box::pin(grpc.oneshot(request.map(Body::new)))
    }
}

/// gRPC paths have two parts, `/package.Service/Method`, and are always POSTed.
fn is_page(request: &Request<Incoming>) -> bool {
    request.method() == Method::GET || request.method() == Method::HEAD
}

impl Pages {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let query = request.uri().query().unwrap_or("");
        match request.uri().path() {
            "/health" => health::health(&self.identity, query).await,
            "/version" => {
                let version = serde_json::json!({
                    "etcdserver": SERVER_VERSION, "etcdcluster": CLUSTER_VERSION, "storage": CLUSTER_VERSION,
                });
                page(StatusCode::OK, "application/json", version.to_string())
            }
            "/metrics" => page(StatusCode::OK, METRICS_TYPE, self.metrics.render(&self.identity)),
            path => match health::check_of(path) {
                Some(checks) => health::checks(&self.identity, checks, query).await,
                None => page(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n"),
            },
        }
    }
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::from(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
