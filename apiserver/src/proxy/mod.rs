//! Requests that go on to a node: logs, exec, attach, port-forward, and the proxy subresources.
//!
//! Nothing is interpreted on the way: after a 101 the bytes of both sides are copied as they come, so SPDY and
//! WebSocket work alike. `target` finds the place, `upstream` speaks to it, `tunnel` copies. `probe` asks for itself.

mod probe;
mod target;
mod tunnel;
mod upstream;

use http::Request;
use hyper::body::Incoming;

use crate::error::ApiError;
use crate::http::body::Answer;
use crate::http::query::Query;
use crate::kinds::Kind;
use crate::pipeline::{Api, Target};
use crate::request::RequestInfo;

pub use probe::healthz;
pub use upstream::{Kubelets, KubeletsError};

pub async fn connect(
    api: &Api,
    kind: &'static Kind,
    request: Request<Incoming>,
    info: &RequestInfo,
    query: &Query,
) -> Result<Answer, ApiError> {
    let place = Target::from_info(kind, info);
    let upstream = match (kind.plural, info.subresource.as_str()) {
        ("pods", "log") => match target::log(api, &place, query).await? {
            Some(upstream) => upstream,
            // Not on a node yet: there is nothing to show.
            None => return Ok(crate::http::body::text(http::StatusCode::OK, "")),
        },
        ("pods", "exec") => target::exec(api, &place, query, "exec").await?,
        ("pods", "attach") => target::exec(api, &place, query, "attach").await?,
        ("pods", "portforward") => target::port_forward(api, &place, query).await?,
        ("pods", "proxy") => target::pod_proxy(api, &place, info, request.uri().query()).await?,
        ("services", "proxy") => target::service_proxy(api, &place, info, request.uri().query())?,
        ("nodes", "proxy") => target::node_proxy(api, &place, info, request.uri().query())?,
        _ => return Err(ApiError::unknown_resource()),
    };
    upstream::forward(&api.kubelets, upstream, request).await
}
