//! The request that an access review describes.

use serde_json::Value;

use crate::request::RequestInfo;

/// From `spec.resourceAttributes`.
pub fn of_resource(attributes: &Value) -> RequestInfo {
    RequestInfo {
        is_resource_request: true,
        verb: text(attributes, "verb"),
        api_group: text(attributes, "group"),
        api_version: text(attributes, "version"),
        namespace: text(attributes, "namespace"),
        resource: text(attributes, "resource"),
        subresource: text(attributes, "subresource"),
        name: text(attributes, "name"),
        ..RequestInfo::default()
    }
}

/// From `spec.nonResourceAttributes`.
pub fn of_path(attributes: &Value) -> RequestInfo {
    RequestInfo { verb: text(attributes, "verb"), path: text(attributes, "path"), ..RequestInfo::default() }
}

pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
