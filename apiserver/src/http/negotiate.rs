//! What the client accepts: encoding (JSON, YAML) and view (the object, a Table, or metadata alone).

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};

use super::query::Query;
use crate::error::ApiError;

pub const ACCEPTED: &[&str] = &["application/json", "application/yaml"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Yaml,
}

/// What a row of a Table carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    None,
    Metadata,
    Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Object,
    Metadata,
    Table(Include),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub encoding: Encoding,
    pub view: View,
}

impl Wanted {
    /// The first entry of Accept that we can serve; order is preference, as client-go writes it.
    pub fn from_request(headers: &HeaderMap, query: &Query) -> Result<Wanted, ApiError> {
        let mut accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if accepts.peek().is_none() {
            return Ok(Wanted { encoding: Encoding::Json, view: View::Object });
        }
        accepts
            .flat_map(|value| value.split(','))
            .find_map(|entry| entry_of(entry, query))
            .ok_or_else(|| ApiError::not_acceptable(ACCEPTED))
    }
}

/// None if the entry asks for something we do not serve.
fn entry_of(entry: &str, query: &Query) -> Option<Wanted> {
    let mut parts = entry.split(';').map(str::trim);
    let encoding = match parts.next()? {
        "application/json" | "*/*" | "application/*" | "" => Encoding::Json,
        "application/yaml" => Encoding::Yaml,
        _ => return None,
    };
    let (mut shape, mut version, mut group) = ("", "", "");
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name {
            "as" => shape = value,
            "v" => version = value,
            "g" => group = value,
            _ => {}
        }
    }
    let known = group == "meta.k8s.io" && matches!(version, "v1" | "v1beta1");
    let view = match shape {
        "" => View::Object,
        "Table" if known => View::Table(included(query)),
        "PartialObjectMetadata" | "PartialObjectMetadataList" if known => View::Metadata,
        _ => return None,
    };
    Some(Wanted { encoding, view })
}

fn included(query: &Query) -> Include {
    match query.text("includeObject") {
        "None" => Include::None,
        "Object" => Include::Object,
        _ => Include::Metadata,
    }
}

pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|entry| entry.trim().split(';').next() == Some("gzip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &str) -> Result<Wanted, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect("a header value"));
        Wanted::from_request(&headers, &Query::default()).map_err(|error| error.code())
    }

    #[test]
    fn the_first_servable_entry_wins() {
        let object = Ok(Wanted { encoding: Encoding::Json, view: View::Object });
        let table = Ok(Wanted { encoding: Encoding::Json, view: View::Table(Include::Metadata) });
        assert_eq!(wanted("application/vnd.kubernetes.protobuf, application/json"), object);
        assert_eq!(wanted("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), table);
        assert_eq!(wanted("*/*"), object);
        assert_eq!(wanted("application/vnd.kubernetes.protobuf"), Err(406));
        assert_eq!(wanted("application/json;as=Nothing;v=v1;g=meta.k8s.io"), Err(406));
    }
}
