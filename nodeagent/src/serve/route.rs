//! Paths of the agent's own API to verbs.

use std::sync::Arc;
use std::time::Duration;

use balsa_proto::client::ObjectKey;
use balsa_proto::cri as api;
use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;

use super::auth::{self, User};
use super::{Context, logs, stream};
use crate::observe::stats;
use crate::pod::facts;
use crate::runtime::{Streams, label};

pub type Body = BoxBody<Bytes, std::convert::Infallible>;

pub fn full(content: impl Into<Bytes>) -> Body {
    Full::new(content.into()).boxed()
}

pub fn sentence(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(full(format!("{text}\n")));
    *response.status_mut() = status;
    response
}

fn json(value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

/// A path's words and a query's pairs, decoded.
struct Asked {
    words: Vec<String>,
    query: Vec<(String, String)>,
}

impl Asked {
    fn new(uri: &http::Uri) -> Self {
        let words = uri.path().split('/').filter(|word| !word.is_empty()).map(decode).collect();
        let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Self { words, query: pairs.map(pair).collect() }
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.query.iter().filter(|(have, _)| have == name).map(|(_, value)| value.clone()).collect()
    }

    /// Stream flags have two names: the kubelet's (`input`) and the API server's (`stdin`).
    fn flag(&self, names: [&str; 2]) -> bool {
        self.query
            .iter()
            .any(|(name, value)| names.contains(&name.as_str()) && matches!(value.as_str(), "1" | "true"))
    }

    fn streams(&self) -> Streams {
        let tty = self.flag(["tty", "tty"]);
        Streams {
            stdin: self.flag(["input", "stdin"]),
            stdout: self.flag(["output", "stdout"]),
            // A terminal has one output.
            stderr: self.flag(["error", "stderr"]) && !tty,
            tty,
        }
    }
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let decoded =
                    std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                out.push(decoded.unwrap_or(b'%'));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub async fn answer(
    context: Arc<Context>,
    user: Option<&User>,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/healthz" || path == "/healthz/ping" {
        return Response::new(full("ok"));
    }
    let Some(user) = user else { return sentence(StatusCode::UNAUTHORIZED, "Unauthorized") };
    if let Err(refused) = auth::authorize(&context, user, request.method(), &path).await {
        return sentence(StatusCode::FORBIDDEN, &refused);
    }
    let asked = Asked::new(request.uri());
    let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
    let is_get = request.method() == Method::GET;
    let result = match words.as_slice() {
        ["pods"] => Ok(pods(&context)),
        ["stats", "summary"] => summary(&context).await,
        ["metrics"] => Ok(metrics(&context)),
        ["containerLogs", namespace, pod, container] if is_get => {
            container_logs(&context, (namespace, pod, container), &asked).await
        }
        ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] => {
            exec(&context, (namespace, pod, container), &asked, request).await
        }
        ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] => {
            attach(&context, (namespace, pod, container), &asked, request).await
        }
        ["portForward", namespace, pod] | ["portForward", namespace, pod, _] => {
            port_forward(&context, namespace, pod, &asked, request).await
        }
        ["run", namespace, pod, container] | ["run", namespace, pod, _, container] if !is_get => {
            run(&context, (namespace, pod, container), &asked).await
        }
        _ => Err((StatusCode::NOT_FOUND, "404 page not found".to_owned())),
    };
    result.unwrap_or_else(|(status, text)| refusal(status, &text))
}

/// A failure of ours is a Status: kubectl takes a plain "a: b" for YAML, and then shows nothing of it.
pub fn refusal(status: StatusCode, text: &str) -> Response<Body> {
    if !status.is_server_error() {
        return sentence(status, text);
    }
    let mut response = json(&json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "InternalError", "message": text, "code": status.as_u16(),
    }));
    *response.status_mut() = status;
    response
}

type Answer = Result<Response<Body>, (StatusCode, String)>;
/// Namespace, pod and container.
type Name<'a> = (&'a str, &'a str, &'a str);

fn not_found(text: String) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, text)
}

fn broken(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn pods(context: &Context) -> Response<Body> {
    let pods = context.pods.borrow().clone();
    let items: Vec<&Pod> = pods.values().map(AsRef::as_ref).collect();
    json(&json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items }))
}

async fn summary(context: &Context) -> Answer {
    let summary = stats::summary(context.runtime.as_ref(), &context.node_name).await;
    summary.map(|summary| json(&summary)).map_err(broken)
}

fn metrics(context: &Context) -> Response<Body> {
    let running = context.pods.borrow().len();
    let text = format!(
        "# HELP kubelet_active_pods The number of pods the kubelet considers active.\n\
         # TYPE kubelet_active_pods gauge\nkubelet_active_pods{{static=\"\"}} {running}\n"
    );
    Response::new(full(text))
}

fn find_pod(context: &Context, namespace: &str, name: &str) -> Result<Arc<Pod>, (StatusCode, String)> {
    let found = context.pods.borrow().get(&ObjectKey::new(namespace, name)).cloned();
    found.ok_or_else(|| not_found(format!("pod \"{name}\" not found")))
}

/// The attempts of a container, newest first.
async fn attempts(
    context: &Context,
    (namespace, pod, container): Name<'_>,
) -> Result<(Arc<Pod>, Vec<api::Container>), (StatusCode, String)> {
    let pod = find_pod(context, namespace, pod)?;
    if facts::find_container(&pod, container).is_none() {
        let text =
            format!("container \"{container}\" not found in pod \"{}_{namespace}\"", facts::name(&pod));
        return Err((StatusCode::BAD_REQUEST, text));
    }
    let mut found = context.runtime.list_containers(Some(facts::uid(&pod))).await.map_err(broken)?;
    found.retain(|c| c.labels.get(label::CONTAINER_NAME).is_some_and(|name| name == container));
    found.sort_by_key(|c| std::cmp::Reverse((c.metadata.as_ref().map(|m| m.attempt), c.created_at)));
    Ok((pod, found))
}

async fn running(context: &Context, name: Name<'_>) -> Result<String, (StatusCode, String)> {
    let (_, attempts) = attempts(context, name).await?;
    let newest = attempts.into_iter().next();
    let running = newest.filter(|c| c.state() == api::ContainerState::ContainerRunning);
    running.map(|c| c.id).ok_or_else(|| {
        // kubectl puts "unable to upgrade connection: " before it.
        not_found(format!("container not found (\"{}\")", name.2))
    })
}

async fn container_logs(context: &Arc<Context>, name: Name<'_>, asked: &Asked) -> Answer {
    let options = logs::Options::parse(&asked.query, Timestamp::now());
    let options = options.map_err(|text| (StatusCode::BAD_REQUEST, text))?;
    let (pod, attempts) = attempts(context, name).await?;
    let chosen = match options.previous {
        true => previous(&pod, name.2, attempts),
        false => attempts.into_iter().next(),
    };
    let Some(chosen) = chosen else {
        return Err((StatusCode::BAD_REQUEST, missing_log(&pod, name, options.previous)));
    };
    let attempt = chosen.metadata.map(|m| m.attempt).unwrap_or_default();
    let path = context.paths.log_file(&pod, name.2, attempt);
    if !path.exists() {
        return Err((StatusCode::BAD_REQUEST, missing_log(&pod, name, options.previous)));
    }
    let (sender, receiver) = logs::channel();
    let source = logs::Source { path, container_id: chosen.id };
    tokio::spawn(logs::copy(context.clone(), source, options, sender));
    let frames = ReceiverStream::new(receiver).map(|chunk| Ok(Frame::data(chunk)));
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    let kind = http::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    Ok(response)
}

/// The one that the status shows as `lastState`: in a crash loop that is the newest, else the one before it.
fn previous(pod: &Pod, container: &str, attempts: Vec<api::Container>) -> Option<api::Container> {
    let mut last = facts::told_statuses(pod)
        .filter(|status| status.name == container)
        .filter_map(|status| status.last_state.as_ref()?.terminated.as_ref()?.container_id.clone());
    let id = last.next();
    let is_last = |c: &api::Container| id.as_ref().is_some_and(|id| id.ends_with(&c.id));
    let at = attempts.iter().position(is_last).unwrap_or(1);
    attempts.into_iter().nth(at)
}

/// Stock sentences, which kubectl shows.
fn missing_log(pod: &Pod, (_, pod_name, container): Name<'_>, previous: bool) -> String {
    if previous {
        return format!("previous terminated container \"{container}\" in pod \"{pod_name}\" not found");
    }
    let waiting = facts::told_statuses(pod)
        .filter(|status| status.name == container)
        .find_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let reason = waiting.unwrap_or_else(|| "ContainerCreating".to_owned());
    format!("container \"{container}\" in pod \"{pod_name}\" is waiting to start: {reason}")
}

async fn exec(context: &Context, name: Name<'_>, asked: &Asked, request: Request<Incoming>) -> Answer {
    let id = running(context, name).await?;
    let command = asked.all("command");
    let url = context.runtime.exec_url(&id, command, asked.streams()).await.map_err(broken)?;
    Ok(stream::tunnel(request, &url).await)
}

async fn attach(context: &Context, name: Name<'_>, asked: &Asked, request: Request<Incoming>) -> Answer {
    let id = running(context, name).await?;
    let url = context.runtime.attach_url(&id, asked.streams()).await.map_err(broken)?;
    Ok(stream::tunnel(request, &url).await)
}

async fn port_forward(
    context: &Context,
    namespace: &str,
    pod: &str,
    asked: &Asked,
    request: Request<Incoming>,
) -> Answer {
    let pod = find_pod(context, namespace, pod)?;
    let sandboxes = context.runtime.list_sandboxes(Some(facts::uid(&pod))).await.map_err(broken)?;
    let ready = sandboxes.into_iter().find(|s| s.state() == api::PodSandboxState::SandboxReady);
    let sandbox = ready.ok_or_else(|| not_found("pod is not running".to_owned()))?;
    let ports = asked.all("port").iter().chain(&asked.all("ports")).filter_map(|p| p.parse().ok()).collect();
    let url = context.runtime.port_forward_url(&sandbox.id, ports).await.map_err(broken)?;
    Ok(stream::tunnel(request, &url).await)
}

async fn run(context: &Context, name: Name<'_>, asked: &Asked) -> Answer {
    let id = running(context, name).await?;
    let words = asked.all("cmd").join(" ");
    let command: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let answer = context.runtime.exec_sync(&id, &command, Duration::ZERO).await.map_err(broken)?;
    let mut output = answer.stdout.to_vec();
    output.extend_from_slice(&answer.stderr);
    Ok(Response::new(full(output)))
}
