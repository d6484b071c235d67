//! Objects and lists to bytes, in the wanted view and encoding.
//!
//! The plain case (JSON, the object itself, stored in the version that is asked for) copies stored bytes and
//! splices the resourceVersion; everything else parses.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::body::{self, Answer, Part};
use super::negotiate::{ACCEPTED, Encoding, Include, View, Wanted};
use crate::cache::{CachedObject, encode};
use crate::error::ApiError;
use crate::kinds::Kind;
use crate::limits;
use crate::table;
use crate::verbs::list::Listed;

/// One object as an answer.
pub fn answer(code: StatusCode, kind: &'static Kind, wanted: Wanted, object: &CachedObject) -> Answer {
    let bytes = match wanted.view {
        View::Object => object_json(kind, object),
        View::Metadata => metadata_json(object),
        View::Table(include) => {
            let listed = [object.value()];
            let metadata = json!({ "resourceVersion": object.revision.to_string() });
            encode::served(&table_of(kind, &listed, include, metadata, true))
        }
    };
    encoded(code, wanted.encoding, bytes)
}

/// JSON bytes as they are, or as YAML.
pub fn encoded(code: StatusCode, encoding: Encoding, bytes: Bytes) -> Answer {
    match encoding {
        Encoding::Json => body::json(code, bytes),
        Encoding::Yaml => match to_yaml(&bytes) {
            Ok(text) => body::respond(code, "application/yaml", text),
            Err(error) => body::error(&error),
        },
    }
}

/// A value that is no stored object (Scale, reviews).
pub fn value_answer(code: StatusCode, wanted: Wanted, value: &Value) -> Answer {
    match wanted.view {
        View::Object => encoded(code, wanted.encoding, encode::served(value)),
        View::Metadata | View::Table(_) => body::error(&ApiError::not_acceptable(ACCEPTED)),
    }
}

fn to_yaml(bytes: &[u8]) -> Result<String, ApiError> {
    let value: Value = serde_json::from_slice(bytes).map_err(ApiError::internal)?;
    serde_saphyr::to_string(&value).map_err(ApiError::internal)
}

/// In the version of `kind`, resourceVersion included.
pub fn object_json(kind: &'static Kind, object: &CachedObject) -> Bytes {
    if kind.conversion.is_none() { object.json() } else { encode::served(&object_value(kind, object)) }
}

pub fn object_value(kind: &'static Kind, object: &CachedObject) -> Value {
    let mut value = object.value();
    kind.from_hub(&mut value);
    value
}

/// `PartialObjectMetadata`: copies the text of `metadata` without looking into it.
pub fn metadata_json(object: &CachedObject) -> Bytes {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let head: Head<'_> = serde_json::from_slice(&object.bytes).expect("decode has parsed these bytes");
    let metadata = head.metadata.get();
    let mut out = BytesMut::with_capacity(metadata.len() + 128);
    out.put_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{");
    out.put_slice(format!("\"resourceVersion\":\"{}\"", object.revision).as_bytes());
    let members = &metadata[1..];
    if !members.trim_start().starts_with('}') {
        out.put_u8(b',');
    }
    out.put_slice(members.as_bytes());
    out.put_u8(b'}');
    out.freeze()
}

/// A list as an answer; plain JSON is streamed in pieces.
pub fn list_answer(kind: &'static Kind, wanted: Wanted, listed: Listed, gzip: bool) -> Answer {
    let metadata = list_metadata(&listed);
    if let View::Table(include) = wanted.view {
        let values: Vec<Value> = listed.items.iter().map(|object| object.value()).collect();
        let bytes = encode::served(&table_of(kind, &values, include, metadata, true));
        let size = bytes.len();
        return squeezed(encoded(StatusCode::OK, wanted.encoding, bytes), size, gzip);
    }
    let (list_kind, api_version) = match wanted.view {
        View::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        View::Object | View::Table(_) => (format!("{}List", kind.kind), kind.api_version()),
    };
    let head = format!(
        "{{\"kind\":\"{list_kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":["
    );
    let size: usize = head.len() + 2 + listed.items.iter().map(|object| object.json_len() + 1).sum::<usize>();
    let parts = list_parts(kind, wanted.view, head, listed.items);
    if size <= limits::LIST_CHUNK_BYTES || wanted.encoding == Encoding::Yaml {
        let mut out = BytesMut::with_capacity(size);
        parts.for_each(|part| part(&mut out));
        return encoded(StatusCode::OK, wanted.encoding, out.freeze());
    }
    let mut answer = Response::new(body::stream(body::chunked(parts)));
    let content_type = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    squeezed(answer, size, gzip)
}

fn squeezed(answer: Answer, size_bytes: usize, gzip: bool) -> Answer {
    if gzip { body::gzip(answer, size_bytes) } else { answer }
}

fn list_parts(
    kind: &'static Kind,
    view: View,
    head: String,
    items: Vec<Arc<CachedObject>>,
) -> impl Iterator<Item = Part> + Send {
    let start: Part = Box::new(move |out| out.put_slice(head.as_bytes()));
    let end: Part = Box::new(|out| out.put_slice(b"]}"));
    let objects = items.into_iter().enumerate().map(move |(index, object)| -> Part {
        Box::new(move |out| {
            if index > 0 {
                out.put_u8(b',');
            }
            write_object(kind, view, &object, out);
        })
    });
    std::iter::once(start).chain(objects).chain(std::iter::once(end))
}

fn write_object(kind: &'static Kind, view: View, object: &CachedObject, out: &mut BytesMut) {
    match view {
        View::Metadata => out.put_slice(&metadata_json(object)),
        View::Object | View::Table(_) if kind.conversion.is_none() => object.write_json(out),
        View::Object | View::Table(_) => out.put_slice(&object_json(kind, object)),
    }
}

fn list_metadata(listed: &Listed) -> Value {
    let mut metadata = json!({});
    // What is not stored has no version.
    if listed.revision != 0 {
        metadata["resourceVersion"] = json!(listed.revision.to_string());
    }
    if !listed.continue_token.is_empty() {
        metadata["continue"] = json!(listed.continue_token);
    }
    if let Some(remaining) = listed.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    metadata
}

/// `meta.k8s.io/v1 Table` over objects in stored version.
pub fn table_of(
    kind: &'static Kind,
    objects: &[Value],
    include: Include,
    metadata: Value,
    with_columns: bool,
) -> Value {
    let now = Timestamp::now();
    let rows = objects.iter().map(|stored| {
        let mut object = stored.clone();
        kind.from_hub(&mut object);
        let part = match include {
            Include::None => Value::Null,
            Include::Metadata => table::partial_object(&object),
            Include::Object => object.clone(),
        };
        table::row(kind, &object, part, now)
    });
    let rows = rows.collect();
    table::table(with_columns.then(|| table::column_definitions(kind)), metadata, rows)
}
