//! The gRPC door: `balsa.resources.v1.Resources`, for our own components, on the same port as REST.
//!
//! The same authentication (in the front), authorization (here, per message), admission and verbs as REST.
//! Errors carry the `metav1.Status` as JSON in the gRPC status details.

mod resources;
mod watch;

use balsa_proto::resources::resources_server::ResourcesServer;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::error::ApiError;
use crate::http::resource::kind_of;
use crate::limits;
use crate::pipeline::{SharedApi, Target};
use crate::request::{RequestInfo, User};

pub type GrpcService = ResourcesServer<Door>;

/// The service; stateless but for its handles.
pub struct Door {
    api: SharedApi,
    shutdown: CancellationToken,
}

pub fn service(api: SharedApi, shutdown: CancellationToken) -> GrpcService {
    ResourcesServer::new(Door { api, shutdown })
        .max_decoding_message_size(limits::REQUEST_BODY_BYTES + 64 * 1024)
        .max_encoding_message_size(usize::MAX)
}

/// One table from HTTP codes to gRPC codes; the details hold the truth.
pub fn to_status(error: &ApiError) -> tonic::Status {
    let code = match (error.code(), error.reason()) {
        (400 | 413 | 415 | 422, _) => Code::InvalidArgument,
        (401, _) => Code::Unauthenticated,
        (403, _) => Code::PermissionDenied,
        (404, _) => Code::NotFound,
        (405 | 406, _) => Code::Unimplemented,
        (409, "AlreadyExists") => Code::AlreadyExists,
        (409, _) => Code::Aborted,
        (410, _) => Code::OutOfRange,
        (429, _) => Code::ResourceExhausted,
        (503, _) => Code::Unavailable,
        (504, _) => Code::DeadlineExceeded,
        (_, _) => Code::Internal,
    };
    tonic::Status::with_details(code, error.to_string(), Bytes::from(error.status().to_json()))
}

/// The caller that the front has put into the request.
fn user_of<M>(request: &tonic::Request<M>) -> Result<User, ApiError> {
    request.extensions().get::<User>().cloned().ok_or_else(ApiError::unauthorized)
}

/// Resolves and authorizes a target for a verb.
fn admitted(
    door: &Door,
    user: &User,
    verb: &str,
    target: Option<balsa_proto::resources::Target>,
) -> Result<Target, ApiError> {
    let target = target.ok_or_else(|| ApiError::bad_request("the request names no target"))?;
    let info = RequestInfo {
        is_resource_request: true,
        verb: verb.to_owned(),
        api_prefix: if target.group.is_empty() { "api".into() } else { "apis".into() },
        api_group: target.group,
        api_version: target.version,
        namespace: target.namespace,
        resource: target.resource,
        subresource: target.subresource,
        name: target.name,
        ..RequestInfo::default()
    };
    let info = with_namespace_of_itself(info);
    door.api.authorizer.require(user, &info)?;
    let kind = kind_of(&info)?;
    Ok(Target::from_info(kind, &info))
}

/// For a namespace object, RBAC sees its name as the namespace; so does REST, whose path says it twice.
fn with_namespace_of_itself(mut info: RequestInfo) -> RequestInfo {
    if info.api_group.is_empty() && info.resource == "namespaces" && !info.name.is_empty() {
        info.namespace = info.name.clone();
    }
    info
}
