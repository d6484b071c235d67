//! Discovery: what the server serves, for clients that look before they ask.
//!
//! `/api` and `/apis` answer with the aggregated lists (v2, v2beta1) when asked to, else with the plain ones;
//! `/api/v1` and `/apis/<group>[/<version>]` are always plain. Everything is computed once, with its ETag.

mod aggregated;
mod plain;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha512};

use crate::kinds;

/// A body, ready to be sent.
#[derive(Clone)]
pub struct Document {
    pub body: Bytes,
    pub content_type: &'static str,
    /// Quoted, as the header has it.
    pub etag: String,
}

impl Document {
    fn new(value: &Value, content_type: &'static str) -> Document {
        let body = value.to_string();
        let digest: String =
            Sha512::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect();
        Document { body: Bytes::from(body), content_type, etag: format!("\"{digest}\"") }
    }

    /// True if the client's `If-None-Match` says that it has this very document.
    pub fn is_known(&self, if_none_match: &str) -> bool {
        if_none_match.split(',').any(|tag| matches!(tag.trim(), "*") || tag.trim() == self.etag)
    }
}

const JSON: &str = "application/json";
const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2_BETA: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Which of the forms of `/api` and `/apis` a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Plain,
    V2Beta,
    V2,
}

/// The document at a path without a trailing slash, in the form that `accept` prefers; None for other paths.
pub fn respond(path: &str, accept: &str) -> Option<&'static Document> {
    let path = path.trim_end_matches('/');
    let form = match path {
        "/api" | "/apis" => preferred_form(accept),
        _ => Form::Plain,
    };
    documents().get(&(path.to_owned(), form))
}

fn documents() -> &'static BTreeMap<(String, Form), Document> {
    static DOCUMENTS: OnceLock<BTreeMap<(String, Form), Document>> = OnceLock::new();
    DOCUMENTS.get_or_init(build)
}

fn build() -> BTreeMap<(String, Form), Document> {
    let mut all = BTreeMap::new();
    for path in ["/api", "/apis"] {
        let is_core = path == "/api";
        let beta = aggregated::list("v2beta1", is_core);
        all.insert((path.to_owned(), Form::V2), Document::new(&aggregated::list("v2", is_core), V2));
        all.insert((path.to_owned(), Form::V2Beta), Document::new(&beta, V2_BETA));
    }
    let mut plain = |path: String, value: Value| {
        all.insert((path, Form::Plain), Document::new(&value, JSON));
    };
    plain("/api".to_owned(), plain::versions());
    plain("/apis".to_owned(), plain::group_list());
    for (group, _) in kinds::preferred_versions() {
        if !group.is_empty() {
            plain(format!("/apis/{group}"), plain::group(group));
        }
        for version in kinds::versions(group) {
            let path =
                if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
            plain(path, plain::resource_list(group, version));
        }
    }
    all
}

/// Entries of Accept in the client's order; the first that we can serve wins.
fn preferred_form(accept: &str) -> Form {
    accept.split(',').find_map(form_of).unwrap_or(Form::Plain)
}

fn form_of(entry: &str) -> Option<Form> {
    let mut parts = entry.split(';').map(str::trim);
    let is_json = matches!(parts.next()?, JSON | "*/*" | "application/*");
    let (mut group, mut version, mut shape) = ("", "", "");
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim() {
            "g" => group = value,
            "v" => version = value,
            "as" => shape = value,
            _ => {}
        }
    }
    match (is_json, group, version, shape) {
        (true, "apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList") => Some(Form::V2),
        (true, "apidiscovery.k8s.io", "v2beta1", "APIGroupDiscoveryList") => Some(Form::V2Beta),
        (true, _, _, "") => Some(Form::Plain),
        _ => None,
    }
}

#[cfg(test)]
mod discovery_test;
