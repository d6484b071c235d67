//! Bytes of a request to a [`Node`]: JSON, or YAML by the 1.1 rules that Kubernetes clients expect.

use serde_saphyr::DuplicateKeyPolicy;

use super::json_syntax;
use super::node::Node;

/// What the body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

impl Format {
    /// From a Content-Type; parameters are ignored. None for anything else (protobuf, CBOR).
    pub fn of(content_type: &str) -> Option<Format> {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        match media {
            "" | "*/*" | "json" | "application/json" => Some(Format::Json),
            "yaml" | "application/yaml" | "application/apply-patch+yaml" => Some(Format::Yaml),
            media if media.ends_with("+json") => Some(Format::Json),
            _ => None,
        }
    }
}

/// Errors are the stock server's words.
pub(super) fn parse(body: &[u8], format: Format) -> Result<Node, String> {
    match format {
        Format::Json => serde_json::from_slice(body)
            .map_err(|error| json_syntax::first_error(body).unwrap_or_else(|| error.to_string())),
        // JSON is YAML, and kubectl sends JSON under the YAML type of server-side apply.
        Format::Yaml => serde_json::from_slice(body).or_else(|_| parse_yaml(body)),
    }
}

/// Repeated keys reach the node, which reports them; the last one wins, as in the stock server.
fn parse_yaml(body: &[u8]) -> Result<Node, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    serde_saphyr::from_slice_with_options(body, options).map_err(|error| format!("yaml: {error}"))
}
