//! A message from JSON: either name of a field, numbers also as strings, enums by name or number; fields that are not
//! known are ignored, as grpc-gateway does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::schema::{Field, Kind, MessageId, Schema};
use super::wire::{put_bytes_field, put_varint_field};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FromJsonError {
    #[error("a message must be a JSON object")]
    NotAnObject,
    #[error("{field} must be {wanted}")]
    Kind { field: String, wanted: &'static str },
    #[error("unknown value {value:?} for enum {name}")]
    UnknownName { name: String, value: String },
    #[error("{field} nests too deeply")]
    TooDeep { field: String },
}

/// Deeper than any legal request; serde_json refuses what is deeper still.
const MAX_DEPTH: usize = 100;

/// The message in its wire form. `null` stands for a message without fields.
pub fn message(schema: &Schema, id: MessageId, json: &Value) -> Result<Vec<u8>, FromJsonError> {
    nested(schema, id, json, 0)
}

fn nested(schema: &Schema, id: MessageId, json: &Value, depth: usize) -> Result<Vec<u8>, FromJsonError> {
    let mut out = Vec::new();
    let object: &Map<String, Value> = match json {
        Value::Null => return Ok(out),
        Value::Object(object) => object,
        _ => return Err(FromJsonError::NotAnObject),
    };
    for field in &schema.message(id).fields {
        let value = object.get(&field.name).or_else(|| object.get(&field.json_name));
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Array(values)) if field.repeated => {
                values.iter().try_for_each(|value| one(schema, field, value, depth, &mut out))?;
            }
            Some(_) if field.repeated => return Err(kind(field, "a list")),
            Some(value) => one(schema, field, value, depth, &mut out)?,
        }
    }
    Ok(out)
}

fn one(
    schema: &Schema,
    field: &Field,
    value: &Value,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), FromJsonError> {
    let number = field.number;
    match field.kind {
        Kind::Bool => {
            let value = value.as_bool().ok_or_else(|| kind(field, "true or false"))?;
            put_varint_field(out, number, u64::from(value));
        }
        Kind::Int32 => put_varint_field(out, number, i64::from(parse::<i32>(field, value)?) as u64),
        Kind::Uint32 => put_varint_field(out, number, u64::from(parse::<u32>(field, value)?)),
        Kind::Int64 => put_varint_field(out, number, parse::<i64>(field, value)? as u64),
        Kind::Uint64 => put_varint_field(out, number, parse::<u64>(field, value)?),
        Kind::Enum(id) => {
            let value = match value {
                Value::String(name) => {
                    let found = schema.enumeration(id).values.iter().find(|(known, _)| known == name);
                    let unknown = || FromJsonError::UnknownName {
                        name: schema.enumeration(id).name.clone(),
                        value: name.clone(),
                    };
                    found.ok_or_else(unknown)?.1
                }
                other => parse::<i32>(field, other)?,
            };
            put_varint_field(out, number, i64::from(value) as u64);
        }
        Kind::String => put_bytes_field(out, number, text(field, value)?.as_bytes()),
        Kind::Bytes => {
            let bytes = STANDARD.decode(text(field, value)?).map_err(|_| kind(field, "bytes in base64"))?;
            put_bytes_field(out, number, &bytes);
        }
        Kind::Message(id) => {
            if depth == MAX_DEPTH {
                return Err(FromJsonError::TooDeep { field: field.name.clone() });
            }
            put_bytes_field(out, number, &nested(schema, id, value, depth + 1)?);
        }
    }
    Ok(())
}

/// A whole number, bare or in quotes.
fn parse<T: std::str::FromStr>(field: &Field, value: &Value) -> Result<T, FromJsonError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(kind(field, "a whole number that fits")),
    };
    text.parse().map_err(|_| kind(field, "a whole number that fits"))
}

fn text<'a>(field: &Field, value: &'a Value) -> Result<&'a str, FromJsonError> {
    value.as_str().ok_or_else(|| kind(field, "a string"))
}

fn kind(field: &Field, wanted: &'static str) -> FromJsonError {
    FromJsonError::Kind { field: field.name.clone(), wanted }
}
