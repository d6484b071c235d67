//! REST on a resource: the verb of the request, checked against what the kind serves, to its function.

use bytes::Bytes;
use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::body::Answer;
use super::query::Query;
use super::{reading, writing};
use crate::error::ApiError;
use crate::kinds::{self, Kind};
use crate::pipeline::{Api, Target};
use crate::request::{RequestInfo, User};

/// A request whose body has been read.
pub struct Request {
    pub info: RequestInfo,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub user: User,
    /// Ends watches when the server stops.
    pub shutdown: CancellationToken,
}

impl Request {
    pub fn user_agent(&self) -> &str {
        self.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Subresources whose requests are tunnelled or streamed instead of answered here.
pub fn is_connect(subresource: &str) -> bool {
    matches!(subresource, "log" | "exec" | "attach" | "portforward" | "proxy")
}

/// The kind that a path names, if the verb fits it.
pub fn kind_of(info: &RequestInfo) -> Result<&'static Kind, ApiError> {
    let kind = kinds::lookup(&info.api_group, &info.api_version, &info.resource)
        .ok_or_else(ApiError::unknown_resource)?;
    if !kind.namespaced && !info.namespace.is_empty() && kind.plural != "namespaces" {
        return Err(ApiError::unknown_resource());
    }
    let served = match info.subresource.as_str() {
        "" => kind.serves(&info.verb),
        name => {
            let subresource = kind.subresource(name).ok_or_else(ApiError::unknown_resource)?;
            is_connect(name) || subresource.verbs.contains(&info.verb.as_str())
        }
    };
    if !served || !names_fit(info) {
        return Err(ApiError::method_not_allowed());
    }
    let needs_namespace =
        kind.namespaced && !matches!(info.verb.as_str(), "list" | "watch" | "deletecollection");
    if needs_namespace && info.namespace.is_empty() && kind.prefix().is_some() {
        return Err(ApiError::method_not_allowed());
    }
    Ok(kind)
}

/// Writes to one object name it; a create names only what its subresource is of.
fn names_fit(info: &RequestInfo) -> bool {
    match info.verb.as_str() {
        "update" | "patch" => !info.name.is_empty(),
        "create" => info.name.is_empty() || !info.subresource.is_empty(),
        _ => true,
    }
}

pub async fn serve(api: &Api, kind: &'static Kind, request: &Request) -> Result<Answer, ApiError> {
    let target = Target::from_info(kind, &request.info);
    let mut answer = dispatch(api, &target, request).await?;
    if let Some(text) = kind.deprecation {
        writing::warn(&mut answer, text);
    }
    Ok(answer)
}

async fn dispatch(api: &Api, target: &Target, request: &Request) -> Result<Answer, ApiError> {
    match request.info.verb.as_str() {
        "get" if target.subresource == "scale" => writing::get_scale(api, target, request).await,
        "get" => reading::get(api, target, request).await,
        "list" => reading::list(api, target, request).await,
        "watch" => reading::watch(api, target, request).await,
        "create" => writing::create(api, target, request).await,
        "update" => writing::update(api, target, request).await,
        "patch" => writing::patch(api, target, request).await,
        "delete" => writing::delete(api, target, request).await,
        "deletecollection" => writing::delete_collection(api, target, request).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}
