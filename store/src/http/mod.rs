//! Plain HTTP beside gRPC, on each port what etcd has there, and JSON below `/v3` for clients. What says of itself that it
//! is gRPC is gRPC.

pub mod health;
pub mod peer;
pub mod vars;
pub mod visitors;

pub use visitors::Visitors;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, Ready, ready};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use crate::gateway;
use crate::metrics::{self, Metrics};
use crate::server::rpc_stats::RpcStats;
use crate::status::{CLUSTER_VERSION, Identity, SERVER_VERSION};
use crate::watch::WatchHub;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Routes a request by its path. Cheap to clone.
#[derive(Clone)]
pub struct Doors<G> {
    grpc: G,
    pages: Arc<Pages>,
    gateway: Option<GatewayLimits>,
    speaks_grpc: bool,
}

/// Of the JSON gateway.
#[derive(Debug, Clone, Copy)]
pub struct GatewayLimits {
    pub max_body_bytes: usize,
}

/// Whom a port serves decides about its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    Client,
    /// A client port that leaves the pages to another one.
    Grpc,
    Metrics,
    Peer,
}

pub struct Pages {
    pub port: Port,
    pub identity: Identity,
    pub metrics: Arc<Metrics>,
    pub visitors: Arc<Visitors>,
    pub rpc_stats: RpcStats,
    pub hub: WatchHub,
}

impl<G> Doors<G> {
    pub fn new(grpc: G, pages: Arc<Pages>) -> Self {
        Doors { grpc, pages, gateway: None, speaks_grpc: true }
    }

    /// Pages and JSON alone.
    pub fn without_grpc(self) -> Self {
        Doors { speaks_grpc: false, ..self }
    }

    /// Answers JSON below `/v3` as well.
    pub fn with_gateway(self, limits: GatewayLimits) -> Self {
        Doors { gateway: Some(limits), ..self }
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

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.grpc.poll_ready(context)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let is_json = self.pages.port == Port::Client && gateway::is_gateway_path(request.uri().path());
        if let Some(limits) = self.gateway.filter(|_| is_json) {
            let (grpc, pages) = (self.grpc.clone(), self.pages.clone());
            return Box::pin(async move { Ok(json(grpc, &pages, limits, request).await) });
        }
        if is_page(&request) {
            let pages = self.pages.clone();
            return Box::pin(async move { Ok(pages.answer(&request).await) });
        }
        if !self.speaks_grpc {
            return Box::pin(NoGrpc.oneshot(request.map(Body::new)));
        }
        Box::pin(self.grpc.call(request.map(Body::new)))
    }
}

/// For whom a browser may act, as with the pages.
async fn json<G>(grpc: G, pages: &Pages, limits: GatewayLimits, request: Request<Incoming>) -> Response<Body>
where
    G: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
    G::Future: Send,
{
    if let Some(refusal) = pages.visitors.refuse(&request) {
        return refusal;
    }
    let (head, body) = request.into_parts();
    let visit = Request::from_parts(head.clone(), ());
    let request = Request::from_parts(head, body);
    let mut answer = match *visit.method() {
        Method::OPTIONS => preflight(),
        _ => gateway::serve(grpc, request, limits.max_body_bytes).await,
    };
    pages.visitors.admit(&visit, &mut answer);
    answer
}

/// Where only pages are served.
#[derive(Clone)]
pub struct NoGrpc;

impl Service<Request<Body>> for NoGrpc {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(text(StatusCode::NOT_FOUND, "404 page not found\n")))
    }
}

/// The content type decides, as in etcd.
fn is_page(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    !content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// To a browser that asks whether its page may ask: the headers about origins are the answer.
fn preflight() -> Response<Body> {
    Response::new(Body::default())
}

impl Pages {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let page = match self.port {
            Port::Client => match self.visitors.refuse(request) {
                Some(refusal) => Some(refusal),
                None if request.method() == Method::OPTIONS => Some(preflight()),
                None => self.client_page(request).await,
            },
            Port::Metrics => self.metrics_page(request).await,
            Port::Peer => self.peer_page(request),
            Port::Grpc => None,
        };
        let mut page = page.unwrap_or_else(|| text(StatusCode::NOT_FOUND, "404 page not found\n"));
        if self.port == Port::Client {
            self.visitors.admit(request, &mut page);
        }
        page
    }

    async fn metrics_page(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        let path = request.uri().path();
        let is_served = matches!(path, "/metrics" | "/health") || health::check_of(path).is_some();
        if is_served { self.client_page(request).await } else { None }
    }

    async fn client_page(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        let query = request.uri().query().unwrap_or("");
        let path = request.uri().path();
        let checks = health::check_of(path);
        let gets_only = matches!(path, "/health" | "/version" | "/debug/vars") || checks.is_some();
        if gets_only && request.method() != Method::GET {
            return Some(method_not_allowed());
        }
        Some(match path {
            "/health" => health::health(&self.identity, &self.metrics, query).await,
            "/version" => version(),
            "/metrics" => {
                let mut metrics = metrics::Page::default();
                self.metrics.render(&mut metrics, &self.identity, &self.hub);
                self.rpc_stats.render(&mut metrics);
                page(StatusCode::OK, METRICS_TYPE, metrics.into_text())
            }
            "/debug/vars" => vars::page_of(&self.identity),
            _ => health::checks(&self.identity, &self.metrics, &checks?, query).await,
        })
    }

    fn peer_page(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        let page = match request.uri().path() {
            "/members" => peer::members(&self.identity),
            "/version" => version(),
            // A downgrade of the cluster is never under way.
            "/downgrade/enabled" => peer::of_cluster(&self.identity, text(StatusCode::OK, "false")),
            _ => return None,
        };
        Some(if request.method() == Method::GET { page } else { method_not_allowed() })
    }
}

fn version() -> Response<Body> {
    let version = format!(
        r#"{{"etcdserver":"{SERVER_VERSION}","etcdcluster":"{CLUSTER_VERSION}","storage":"{CLUSTER_VERSION}"}}"#
    );
    page(StatusCode::OK, JSON, version)
}

fn method_not_allowed() -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    page(status, TEXT, body)
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::from(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
