//! Every request enters here: identify, authenticate, authorize, then to its place; errors become Status bodies.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::body::{self, Answer, BoxError};
use super::metrics::Metrics;
use super::negotiate::accepts_gzip;
use super::query::{Query, decode};
use super::serve::PeerCertificates;
use super::{health, protobuf, resource};
use crate::authn;
use crate::discovery;
use crate::error::ApiError;
use crate::grpc::GrpcService;
use crate::limits;
use crate::openapi;
use crate::pipeline::SharedApi;
use crate::proxy;
use crate::request::{RequestInfo, User};

static AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// Answers depend on who asks and when; nothing between us and the client may keep them.
static CACHE_CONTROL: HeaderValue = HeaderValue::from_static("no-cache, private");

pub struct Front {
    api: SharedApi,
    grpc: GrpcService,
    metrics: Metrics,
    /// Requests being answered; streams leave the count once they run.
    in_flight: Arc<tokio::sync::Semaphore>,
    shutdown: CancellationToken,
    advertised: String,
}

impl Front {
    /// `advertised` is `host:port`, as the token issuer's configuration names it.
    pub fn new(api: SharedApi, advertised: String, shutdown: CancellationToken) -> Front {
        Front {
            grpc: crate::grpc::service(api.clone(), shutdown.clone()),
            api,
            metrics: Metrics::new(),
            in_flight: Arc::new(tokio::sync::Semaphore::new(limits::REQUESTS_IN_FLIGHT)),
            shutdown,
            advertised,
        }
    }

    pub async fn answer(&self, request: Request<Incoming>, peer: PeerCertificates) -> Answer {
        let started = Instant::now();
        let path = decode(request.uri().path(), false);
        let query = request.uri().query().unwrap_or_default().to_owned();
        let mut info = RequestInfo::parse(request.method().as_str(), &path, &query);
        let query = Query::parse(&query);
        name_from_selector(&mut info, &query);
        let audit_id = audit_id(&request);
        let in_flight = self.metrics.enter();
        let mut answer = match self.route(request, peer, &info, query).await {
            Ok(answer) => answer,
            Err(error) => body::error(&error),
        };
        drop(in_flight);
        self.metrics.observe(&info, answer.status(), started.elapsed().as_secs_f64());
        let headers = answer.headers_mut();
        headers.insert(AUDIT_ID.clone(), audit_id);
        headers.entry(http::header::CACHE_CONTROL).or_insert_with(|| CACHE_CONTROL.clone());
        answer
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        peer: PeerCertificates,
        info: &RequestInfo,
        query: Query,
    ) -> Result<Answer, ApiError> {
        let user = match self.admit(&request, &peer, info) {
            Ok(user) => user,
            Err(error) => {
                body::drain(request.into_body()).await;
                return Err(error);
            }
        };
        if is_grpc(&request) {
            return self.grpc(request, user).await;
        }
        if !info.is_resource_request {
            return self.plain(request, info, &query).await;
        }
        let kind = resource::kind_of(info)?;
        if resource::is_connect(&info.subresource) {
            return proxy::connect(&self.api, kind, request, info, &query).await;
        }
        let permit = if info.verb == "watch" { None } else { Some(self.permit()?) };
        let (mut parts, incoming) = request.into_parts();
        let body = body::read(incoming).await?;
        let request = resource::Request {
            info: info.clone(),
            query,
            body: protobuf_to_json(&mut parts.headers, body)?,
            headers: parts.headers,
            user,
            shutdown: self.shutdown.clone(),
        };
        let served = resource::serve(&self.api, kind, &request);
        let answer = tokio::time::timeout(limits::REQUEST_TIMEOUT, served)
            .await
            .map_err(|_| ApiError::timeout("request did not complete within the allotted timeout"))?;
        drop(permit);
        answer
    }

    /// What needs no body: who asks, may he, and is there such a thing. gRPC authorizes each message by itself.
    fn admit(
        &self,
        request: &Request<Incoming>,
        peer: &PeerCertificates,
        info: &RequestInfo,
    ) -> Result<User, ApiError> {
        let user = self.authenticate(request, peer, info)?;
        if is_grpc(request) {
            return Ok(user);
        }
        self.api.authorizer.require(&user, info)?;
        if info.is_resource_request {
            resource::kind_of(info)?;
        }
        Ok(user)
    }

    fn authenticate(
        &self,
        request: &Request<Incoming>,
        peer: &PeerCertificates,
        info: &RequestInfo,
    ) -> Result<User, ApiError> {
        let user = self.api.authenticator.authenticate(peer, request.headers(), &info.path)?;
        if authn::is_impersonation(request.headers()) {
            return authn::impersonate(&self.api.authorizer, user, request.headers());
        }
        Ok(user)
    }

    fn permit(&self) -> Result<tokio::sync::OwnedSemaphorePermit, ApiError> {
        self.in_flight
            .clone()
            .try_acquire_owned()
            .map_err(|_| ApiError::too_many_requests("Too many requests, please try again later.", 1))
    }

    /// gRPC authorizes each message by what it is about.
    async fn grpc(&self, mut request: Request<Incoming>, user: User) -> Result<Answer, ApiError> {
        request.extensions_mut().insert(user);
        let response = self.grpc.clone().oneshot(request).await.map_err(ApiError::internal)?;
        Ok(response.map(|body| {
            use http_body_util::BodyExt;
            body.map_err(BoxError::from).boxed_unsync()
        }))
    }

    async fn plain(
        &self,
        request: Request<Incoming>,
        info: &RequestInfo,
        query: &Query,
    ) -> Result<Answer, ApiError> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(ApiError::method_not_allowed());
        }
        let path = info.path.trim_end_matches('/');
        if let Some(answer) = health::answer(&self.api, path, query, self.shutdown.is_cancelled()).await {
            return Ok(answer);
        }
        let headers = request.headers();
        match path {
            "/version" => Ok(body::json(StatusCode::OK, version())),
            "/metrics" => Ok(self.metrics.answer()),
            "" => Ok(body::json(StatusCode::OK, discovery_root())),
            "/openid/v1/jwks" => {
                let keys = self.api.authenticator.jwks().to_string();
                Ok(body::respond(StatusCode::OK, authn::JWKS_CONTENT_TYPE, keys))
            }
            "/.well-known/openid-configuration" => {
                let configuration = self.api.authenticator.openid_configuration(&self.advertised);
                Ok(body::json(StatusCode::OK, configuration.to_string()))
            }
            path if path.starts_with("/openapi/") => openapi::respond(path, query, headers),
            path if path.starts_with("/api") => Ok(discovered(path, headers)),
            _ => Ok(body::text(StatusCode::NOT_FOUND, "404 page not found\n")),
        }
    }
}

/// Typed Go clients send protobuf; from here on everything is JSON.
fn protobuf_to_json(headers: &mut HeaderMap, body: Bytes) -> Result<Bytes, ApiError> {
    let is_protobuf = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(';').next() == Some(protobuf::CONTENT_TYPE));
    if !is_protobuf {
        return Ok(body);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if body.is_empty() { Ok(body) } else { Ok(Bytes::from(protobuf::to_json(&body)?.to_string())) }
}

fn discovered(path: &str, headers: &HeaderMap) -> Answer {
    let text =
        |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let Some(document) = discovery::respond(path, text(http::header::ACCEPT)) else {
        return body::text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    let mut answer = if document.is_known(text(http::header::IF_NONE_MATCH)) {
        body::respond(StatusCode::NOT_MODIFIED, document.content_type, Vec::new())
    } else {
        body::respond(StatusCode::OK, document.content_type, document.body.clone())
    };
    if accepts_gzip(headers) && answer.status() == StatusCode::OK {
        answer = body::gzip(answer, document.body.len());
    }
    let headers = answer.headers_mut();
    headers.insert(http::header::ETAG, HeaderValue::from_str(&document.etag).expect("hexadecimal in quotes"));
    headers.append(http::header::VARY, HeaderValue::from_static("Accept"));
    answer
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/grpc"))
}

/// A list or watch that pins `metadata.name` is authorized as for that name (kubelets watch single objects).
fn name_from_selector(info: &mut RequestInfo, query: &Query) {
    if info.name.is_empty() && matches!(info.verb.as_str(), "list" | "watch" | "deletecollection") {
        let selector = balsa_proto::meta::field_selector::FieldSelector::parse(query.text("fieldSelector"));
        let name =
            selector.ok().and_then(|selector| selector.required_value("metadata.name").map(str::to_owned));
        info.name = name.unwrap_or_default();
    }
}

/// Kept if the client sent one, else new.
fn audit_id<B>(request: &Request<B>) -> HeaderValue {
    let given = request.headers().get(&AUDIT_ID).filter(|value| value.len() <= 64).cloned();
    given.unwrap_or_else(|| {
        HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).expect("a UUID is visible ASCII")
    })
}

/// Clients gate on major and minor; the version is the API level we serve.
fn version() -> String {
    serde_json::json!({
        "major": "1", "minor": "36", "gitVersion": format!("v1.36.0+balsa-{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": format!("linux/{}", go_arch()),
    })
    .to_string()
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn discovery_root() -> String {
    let mut paths = vec!["/.well-known/openid-configuration".to_owned(), "/api".into(), "/api/v1".into()];
    paths.push("/apis".into());
    for (group, _) in crate::kinds::preferred_versions().into_iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(
            crate::kinds::versions(group).into_iter().map(|version| format!("/apis/{group}/{version}")),
        );
    }
    let rest = [
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ];
    paths.extend(rest.map(str::to_owned));
    serde_json::json!({ "paths": paths }).to_string()
}
