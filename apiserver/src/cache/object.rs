//! One object as the cache holds it: its stored bytes, and what selectors and watches need, extracted once.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;
use smol_str::SmolStr;

use crate::kinds::Kind;

/// What precedes the members of `metadata` in stored bytes.
const METADATA: &[u8] = b"\"metadata\":{";
/// `metadata` comes third, after two short strings.
const METADATA_WITHIN: usize = 512;

#[derive(Debug, Clone)]
pub struct CachedObject {
    /// JSON as stored: without `metadata.resourceVersion`.
    pub bytes: Bytes,
    /// The mod revision; for the object of a DELETED event, that of the deletion. 0: never stored (dry run).
    pub revision: u64,
    /// Empty for cluster-scoped objects.
    pub namespace: SmolStr,
    pub name: SmolStr,
    pub uid: SmolStr,
    pub labels: BTreeMap<String, String>,
    /// Selectable fields, `metadata.name` and `metadata.namespace` included.
    pub fields: Vec<(&'static str, String)>,
    /// Where the members of `metadata` begin in `bytes`.
    splice_at: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("stored object is not JSON")]
    Json(#[from] serde_json::Error),
    #[error("stored object has no metadata at its head")]
    NoMetadata,
}

impl CachedObject {
    /// Parses stored bytes once; the parsed form is dropped again.
    pub fn decode(kind: &Kind, bytes: Bytes, revision: u64) -> Result<CachedObject, DecodeError> {
        let value: Value = serde_json::from_slice(&bytes)?;
        Self::with_value(kind, &value, bytes, revision)
    }

    /// As `decode`, for a caller that holds the parsed form already.
    pub fn with_value(
        kind: &Kind,
        value: &Value,
        bytes: Bytes,
        revision: u64,
    ) -> Result<CachedObject, DecodeError> {
        let metadata = &value["metadata"];
        let text = |name: &str| SmolStr::new(metadata[name].as_str().unwrap_or_default());
        Ok(CachedObject {
            splice_at: metadata_start(&bytes).ok_or(DecodeError::NoMetadata)?,
            bytes,
            revision,
            namespace: text("namespace"),
            name: text("name"),
            uid: text("uid"),
            labels: labels_of(metadata),
            fields: kind.fields(value),
        })
    }

    /// The same state at the revision of its deletion, as DELETED events show it.
    pub fn deleted_at(&self, revision: u64) -> CachedObject {
        CachedObject { revision, ..self.clone() }
    }

    /// Ordering key within a resource: the key in etcd without its prefix.
    pub fn key(&self) -> SmolStr {
        object_key(&self.namespace, &self.name)
    }

    /// The parsed object, `metadata.resourceVersion` included.
    pub fn value(&self) -> Value {
        let mut value: Value = serde_json::from_slice(&self.bytes).expect("decode has parsed these bytes");
        if self.revision != 0 {
            value["metadata"]["resourceVersion"] = Value::String(self.revision.to_string());
        }
        value
    }

    /// The bytes on the wire: those in the store with the resourceVersion spliced in.
    pub fn json(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.bytes.len() + 48);
        self.write_json(&mut out);
        out.freeze()
    }

    pub fn write_json(&self, out: &mut BytesMut) {
        splice(&self.bytes, self.splice_at, self.revision, out);
    }

    /// Upper bound of what `write_json` writes.
    pub fn json_len(&self) -> usize {
        self.bytes.len() + 44
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

pub fn object_key(namespace: &str, name: &str) -> SmolStr {
    if namespace.is_empty() { SmolStr::new(name) } else { smol_str::format_smolstr!("{namespace}/{name}") }
}

/// Stored bytes with the resourceVersion spliced in; None if they do not begin as stored objects do.
pub fn spliced(bytes: &Bytes, revision: u64) -> Option<Bytes> {
    let at = metadata_start(bytes)?;
    let mut out = BytesMut::with_capacity(bytes.len() + 48);
    splice(bytes, at, revision, &mut out);
    Some(out.freeze())
}

fn splice(bytes: &[u8], at: usize, revision: u64, out: &mut BytesMut) {
    if revision == 0 {
        return out.put_slice(bytes);
    }
    out.put_slice(&bytes[..at]);
    out.put_slice(b"\"resourceVersion\":\"");
    let mut digits = [0_u8; 20];
    out.put_slice(decimal(revision, &mut digits));
    out.put_u8(b'"');
    if bytes.get(at) != Some(&b'}') {
        out.put_u8(b',');
    }
    out.put_slice(&bytes[at..]);
}

fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}

fn metadata_start(bytes: &[u8]) -> Option<usize> {
    let head = &bytes[..bytes.len().min(METADATA_WITHIN)];
    head.windows(METADATA.len()).position(|window| window == METADATA).map(|at| at + METADATA.len())
}

fn labels_of(metadata: &Value) -> BTreeMap<String, String> {
    let Some(labels) = metadata["labels"].as_object() else { return BTreeMap::new() };
    labels.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_version_is_spliced_where_metadata_begins() {
        let bytes = Bytes::from_static(br#"{"apiVersion":"v1","kind":"A","metadata":{"name":"x"}}"#);
        let out = spliced(&bytes, 1203).expect("has metadata");
        assert_eq!(out, r#"{"apiVersion":"v1","kind":"A","metadata":{"resourceVersion":"1203","name":"x"}}"#);
        let empty = Bytes::from_static(br#"{"apiVersion":"v1","kind":"A","metadata":{}}"#);
        let out = spliced(&empty, 7).expect("has metadata");
        assert_eq!(out, r#"{"apiVersion":"v1","kind":"A","metadata":{"resourceVersion":"7"}}"#);
    }
}
