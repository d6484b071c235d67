//! Protobuf request bodies, as typed Go clients send them, to the JSON that they stand for.
//!
//! The envelope is `k8s\0` and a `runtime.Unknown { typeMeta = 1 { apiVersion = 1, kind = 2 }, raw = 2 }`. Messages are
//! read by a table: one line per message, one indented line per field (`number name type flags`).
//! Types: `string bool int double bytes`, special ones by name, `@` a message; before it `[]` repeated or `{}` map.
//! Flags: `*` pointer in Go (a zero value counts), `!` written even when empty, `>` inlined into its parent.
//! Go writes every field that is not a pointer, so empty values without `*` or `!` say nothing and are dropped.
//! Answers are JSON: every such client accepts it.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::error::ApiError;

pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
/// Messages nest as deep as object schemas do; more is an attack.
const MAX_DEPTH: usize = 64;

static MESSAGES: LazyLock<HashMap<&'static str, Message>> =
    LazyLock::new(|| parse_table(include_str!("protobuf_fields.txt")));

#[derive(Default)]
struct Message {
    /// A Go slice type of its own: the JSON is the list.
    is_list: bool,
    fields: HashMap<u64, Field>,
}

#[derive(Clone, Copy)]
struct Field {
    name: &'static str,
    shape: Shape,
    ty: &'static str,
    is_pointer: bool,
    is_always_written: bool,
    is_inline: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    List,
    Map,
}

fn parse_table(text: &'static str) -> HashMap<&'static str, Message> {
    let mut messages = HashMap::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(first), rest) = (words.next(), words) else { continue };
        if !line.starts_with(' ') {
            current = first;
            let is_list = rest.into_iter().next() == Some("items");
            messages.insert(current, Message { is_list, fields: HashMap::new() });
        } else if let (Some(message), Ok(number)) = (messages.get_mut(current), first.parse()) {
            let words: Vec<&'static str> = rest.collect();
            message.fields.extend(field_of(&words).map(|field| (number, field)));
        }
    }
    messages
}

fn field_of(words: &[&'static str]) -> Option<Field> {
    let (name, ty) = (*words.first()?, *words.get(1)?);
    let flags = words.get(2).copied().unwrap_or_default();
    let (shape, ty) = if let Some(ty) = ty.strip_prefix("[]") {
        (Shape::List, ty)
    } else if let Some(ty) = ty.strip_prefix("{}") {
        (Shape::Map, ty)
    } else {
        (Shape::One, ty)
    };
    Some(Field {
        name,
        shape,
        ty,
        is_pointer: flags.contains('*'),
        is_always_written: flags.contains('!'),
        is_inline: flags.contains('>'),
    })
}

/// The JSON of an enveloped message.
pub fn to_json(body: &[u8]) -> Result<Value, ApiError> {
    decode_envelope(body).ok_or_else(|| {
        ApiError::bad_request(
            "the object provided is unrecognized (must be of type protobuf): it cannot be decoded",
        )
    })
}

fn decode_envelope(body: &[u8]) -> Option<Value> {
    let unknown = Fields(body.strip_prefix(MAGIC)?).collect::<Option<Vec<_>>>()?;
    let bytes =
        |number: u64| unknown.iter().find_map(|(n, wire)| if *n == number { wire.bytes() } else { None });
    let type_meta = Fields(bytes(1)?).collect::<Option<Vec<_>>>()?;
    let word = |number: u64| {
        let found = type_meta.iter().find_map(|(n, wire)| if *n == number { wire.bytes() } else { None });
        std::str::from_utf8(found.unwrap_or_default()).ok()
    };
    let (api_version, kind) = (word(1)?, word(2)?);
    let message = message_name(api_version, kind);
    let mut value = message_value(&message, bytes(2).unwrap_or_default(), 0)?;
    let members = value.as_object_mut()?;
    members.insert("apiVersion".into(), api_version.into());
    members.insert("kind".into(), kind.into());
    Some(value)
}

/// `apps/v1 Deployment` is `apps.v1.Deployment`; groups with dots go by their first word.
fn message_name(api_version: &str, kind: &str) -> String {
    if kind.ends_with("Options") {
        return format!("meta.v1.{kind}");
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let group = group.split('.').next().unwrap_or_default();
    format!("{group}.{version}.{kind}")
}

fn message_value(name: &str, bytes: &[u8], depth: usize) -> Option<Value> {
    let message = MESSAGES.get(name)?;
    if depth > MAX_DEPTH {
        return None;
    }
    let mut members = Map::new();
    for read in Fields(bytes) {
        let (number, wire) = read?;
        // Fields of newer levels are dropped, like unknown ones of JSON.
        let Some(field) = message.fields.get(&number) else { continue };
        take_field(field, wire, &mut members, depth)?;
    }
    if message.is_list {
        return Some(members.remove("items").unwrap_or_else(|| json!([])));
    }
    Some(Value::Object(members))
}

fn take_field(field: &Field, wire: Wire<'_>, members: &mut Map<String, Value>, depth: usize) -> Option<()> {
    match field.shape {
        Shape::One => {
            let value = value_of(field.ty, wire, depth)?;
            match value {
                Value::Object(inner) if field.is_inline => members.extend(inner),
                value if field.is_pointer || field.is_always_written || !is_empty(&value) => {
                    members.insert(field.name.to_owned(), value);
                }
                _ => {}
            }
        }
        Shape::List => {
            let list = members.entry(field.name).or_insert_with(|| json!([])).as_array_mut()?;
            match wire {
                Wire::Bytes(packed) if field.ty == "int" => {
                    let mut rest = packed;
                    while !rest.is_empty() {
                        list.push(json!(varint(&mut rest)? as i64));
                    }
                }
                wire => list.push(value_of(field.ty, wire, depth)?),
            }
        }
        Shape::Map => {
            let (mut key, mut value) = (String::new(), None);
            for read in Fields(wire.bytes()?) {
                match read? {
                    (1, wire) => key = String::from_utf8(wire.bytes()?.to_vec()).ok()?,
                    (2, wire) => value = Some(value_of(field.ty, wire, depth)?),
                    _ => {}
                }
            }
            let map = members.entry(field.name).or_insert_with(|| json!({})).as_object_mut()?;
            map.insert(key, value.unwrap_or_else(|| json!("")));
        }
    }
    Some(())
}

/// Zero values that Go writes although nobody set them. An empty message is one only if it is a time.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(_) => false,
    }
}

fn value_of(ty: &str, wire: Wire<'_>, depth: usize) -> Option<Value> {
    Some(match ty {
        "string" => json!(std::str::from_utf8(wire.bytes()?).ok()?),
        "bytes" => json!(STANDARD.encode(wire.bytes()?)),
        "bool" => json!(wire.number()? != 0),
        "int" => json!(wire.number()? as i64),
        "double" => json!(f64::from_bits(wire.number()?)),
        "Quantity" => member(wire.bytes()?, 1)?.map_or(Value::Null, |wire| text_of(wire)),
        "Raw" => match member(wire.bytes()?, 1)? {
            Some(wire) => serde_json::from_slice(wire.bytes()?).ok()?,
            None => Value::Null,
        },
        "Time" => time(wire.bytes()?, "%Y-%m-%dT%H:%M:%SZ")?,
        "MicroTime" => time(wire.bytes()?, "%Y-%m-%dT%H:%M:%S%.6fZ")?,
        "Duration" => {
            let nanoseconds = member(wire.bytes()?, 1)?.map_or(Some(0), Wire::number)? as i64;
            json!(format!("{}s", nanoseconds / 1_000_000_000))
        }
        "IntOrString" => int_or_string(wire.bytes()?)?,
        message => message_value(message.strip_prefix('@')?, wire.bytes()?, depth + 1)?,
    })
}

fn text_of(wire: Wire<'_>) -> Value {
    wire.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok()).map_or(Value::Null, |text| json!(text))
}

/// A time without members is Go's zero time: unset.
fn time(bytes: &[u8], format: &str) -> Option<Value> {
    let Some(seconds) = member(bytes, 1)? else { return Some(Value::Null) };
    let nanoseconds = member(bytes, 2)?.map_or(Some(0), Wire::number)? as i32;
    let time = Timestamp::new(seconds.number()? as i64, nanoseconds).ok()?;
    Some(json!(time.strftime(format).to_string()))
}

/// `{ type = 1 (0: number, 1: text), intVal = 2, strVal = 3 }`
fn int_or_string(bytes: &[u8]) -> Option<Value> {
    let is_text = member(bytes, 1)?.map_or(Some(0), Wire::number)? == 1;
    if is_text {
        return Some(member(bytes, 3)?.map_or(Value::Null, text_of));
    }
    Some(json!(member(bytes, 2)?.map_or(Some(0), Wire::number)? as i32))
}

/// The last occurrence of a field.
fn member(bytes: &[u8], number: u64) -> Option<Option<Wire<'_>>> {
    let mut found = None;
    for read in Fields(bytes) {
        let (this, wire) = read?;
        if this == number {
            found = Some(wire);
        }
    }
    Some(found)
}

#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Wire::Bytes(bytes) => Some(bytes),
            Wire::Number(_) => None,
        }
    }

    fn number(self) -> Option<u64> {
        match self {
            Wire::Number(number) => Some(number),
            Wire::Bytes(_) => None,
        }
    }
}

/// The fields of a message in order; None once where the bytes are no message.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.0 = &[];
        }
        Some(read)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = varint(&mut self.0)?;
        let wire = match tag & 7 {
            0 => Wire::Number(varint(&mut self.0)?),
            1 => Wire::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Number(u64::from(u32::from_le_bytes(self.take(4)?.try_into().ok()?))),
            _ => return None,
        };
        Some((tag >> 3, wire))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_as_kubectl_sends_it() {
        let body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x1b\x0a\x11\x0a\x01a\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\
            \x00\x42\x00\x12\x06\x0a\x01x\x12\x01y\x1a\x00\x22\x00";
        let expect = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "x": "y" },
        });
        assert_eq!(to_json(body).expect("a message"), expect);
    }

    #[test]
    fn broken_bytes_are_refused() {
        for body in [&b""[..], b"k8s\0", b"k8s\0\x0a\xff", b"{}"] {
            assert_eq!(to_json(body).expect_err("no message").code(), 400);
        }
    }

    #[test]
    fn every_referenced_message_is_in_the_table() {
        for (name, message) in MESSAGES.iter() {
            for field in message.fields.values() {
                if let Some(wanted) = field.ty.strip_prefix('@') {
                    assert!(MESSAGES.contains_key(wanted), "{name}.{}: {wanted}", field.name);
                }
            }
        }
    }
}
