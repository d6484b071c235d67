//! The published description of the API: `/openapi/v2` and `/openapi/v3`.
//!
//! kubectl builds patches, explains fields and checks which query parameters a server knows from these documents, so
//! they carry list and patch keys, group-version-kinds and every parameter of every verb. Sources: structure and texts
//! from `k8s-openapi`, merge facts from [`crate::schema`], paths from the table of [`crate::kinds`].
//! Documents are built on first request, one at a time, and kept compressed (about a megabyte in total); nothing
//! of the building stays in memory. Their ETag is a hash of their content.

mod definitions;
mod document;
mod gnostic;
mod gnostic_convert;
mod operations;
mod parameters;
mod respond;
mod v2;
mod v3;

pub(crate) mod types;

#[cfg(test)]
mod openapi_test;

pub use document::Document;
pub use respond::respond;

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use serde_json::{Value, json};

use crate::kinds;

/// The version that the documents describe.
const API_LEVEL: &str = "v1.36.0";

static V2_JSON: LazyLock<Document> = LazyLock::new(|| Document::new(v2::document().to_string().as_bytes()));
static V2_PROTOBUF: LazyLock<Document> =
    LazyLock::new(|| Document::new(&gnostic_convert::encode(&v2::document())));
static V3_INDEX: LazyLock<Document> = LazyLock::new(|| Document::new(index().to_string().as_bytes()));
static V3: LazyLock<BTreeMap<String, OnceLock<Document>>> =
    LazyLock::new(|| group_versions().into_iter().map(|path| (path, OnceLock::new())).collect());

/// The whole API in Swagger 2.0.
pub fn v2_json() -> &'static Document {
    &V2_JSON
}

/// The same as `openapi.v2.Document`.
pub fn v2_protobuf() -> &'static Document {
    &V2_PROTOBUF
}

/// Which group versions have a document, and at which URL.
pub fn v3_index() -> &'static Document {
    &V3_INDEX
}

/// The document of `api/v1` or `apis/<group>/<version>`; None if it is not served.
pub fn v3_group_version(path: &str) -> Option<&'static Document> {
    let (path, slot) = V3.get_key_value(path)?;
    Some(slot.get_or_init(|| {
        let (group, version) = split(path);
        Document::new(v3::document(group, version).to_string().as_bytes())
    }))
}

fn index() -> Value {
    let paths = V3.keys().map(|path| {
        let hash = v3_group_version(path).expect("the key is in the map").hash();
        (path.clone(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}") }))
    });
    json!({ "paths": paths.collect::<serde_json::Map<_, _>>() })
}

fn group_versions() -> Vec<String> {
    let mut paths: Vec<String> =
        kinds::all().iter().map(|kind| base_path(kind.group, kind.version)).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// `api/v1`, `apis/apps/v1`
fn base_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn split(path: &str) -> (&str, &str) {
    let (prefix, version) = path.rsplit_once('/').expect("base_path has a slash");
    (prefix.strip_prefix("apis/").unwrap_or_default(), version)
}
