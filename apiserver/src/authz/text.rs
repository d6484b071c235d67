//! The denial texts of a stock API server, to the letter: kubectl users read them, and tests match them.

use crate::error::ApiError;
use crate::request::{RequestInfo, User};

pub fn forbidden(user: &User, request: &RequestInfo, reason: &str) -> ApiError {
    let mut why = denial(user, request);
    if !reason.is_empty() {
        why.push_str(": ");
        why.push_str(reason);
    }
    if request.is_resource_request {
        ApiError::forbidden(&request.group_resource(), &request.name, &why)
    } else {
        ApiError::forbidden_path(&why)
    }
}

fn denial(user: &User, request: &RequestInfo) -> String {
    let RequestInfo { verb, path, api_group, resource, subresource, namespace, .. } = request;
    let user = &user.name;
    if !request.is_resource_request {
        return format!("User {user:?} cannot {verb} path {path:?}");
    }
    let slash = if subresource.is_empty() { "" } else { "/" };
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    format!(
        "User {user:?} cannot {verb} resource \"{resource}{slash}{subresource}\" in API group {api_group:?} {place}"
    )
}
