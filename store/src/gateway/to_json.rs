//! A message as JSON: fields in the order of the `.proto`, defaults left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::schema::{Field, Kind, MessageId, Schema};
use super::wire::{self, Malformed, Value};

/// Appends the message to `out`.
pub fn write(schema: &Schema, id: MessageId, message: Bytes, out: &mut String) -> Result<(), Malformed> {
    let fields = &schema.message(id).fields;
    let values = gather(fields, message)?;
    out.push('{');
    let mut is_first = true;
    for (field, values) in fields.iter().zip(&values) {
        if !is_shown(field, values) {
            continue;
        }
        if !is_first {
            out.push(',');
        }
        is_first = false;
        string(&field.name, out);
        out.push(':');
        if field.repeated {
            list(schema, field, values, out)?;
        } else if let Some(value) = values.last() {
            one(schema, field, value, out)?;
        }
    }
    out.push('}');
    Ok(())
}

/// What each field holds, in the order in which it came. Fields of a newer version are left out.
fn gather(fields: &[Field], mut message: Bytes) -> Result<Vec<Vec<Value>>, Malformed> {
    let mut values = vec![Vec::new(); fields.len()];
    while let Some((number, value)) = wire::next_field(&mut message)? {
        let Some(at) = fields.iter().position(|field| field.number == number) else { continue };
        match value {
            Value::Bytes(mut packed) if is_number(fields[at].kind) => {
                while !packed.is_empty() {
                    values[at].push(Value::Varint(wire::take_varint(&mut packed)?));
                }
            }
            value => values[at].push(value),
        }
    }
    Ok(values)
}

fn is_number(kind: Kind) -> bool {
    match kind {
        Kind::Bool | Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Enum(_) => true,
        Kind::String | Kind::Bytes | Kind::Message(_) => false,
    }
}

fn is_shown(field: &Field, values: &[Value]) -> bool {
    let Some(last) = values.last() else { return false };
    let is_message = matches!(field.kind, Kind::Message(_));
    field.repeated || field.in_oneof || is_message || !matches!(last, Value::Varint(0)) && !is_empty(last)
}

fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Bytes(bytes) if bytes.is_empty())
}

fn list(schema: &Schema, field: &Field, values: &[Value], out: &mut String) -> Result<(), Malformed> {
    out.push('[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        one(schema, field, value, out)?;
    }
    out.push(']');
    Ok(())
}

fn one(schema: &Schema, field: &Field, value: &Value, out: &mut String) -> Result<(), Malformed> {
    match (field.kind, value) {
        (Kind::Bool, Value::Varint(number)) => out.push_str(if *number == 0 { "false" } else { "true" }),
        (Kind::Int32, Value::Varint(number)) => out.push_str(&(*number as i32).to_string()),
        (Kind::Uint32, Value::Varint(number)) => out.push_str(&(*number as u32).to_string()),
        (Kind::Int64, Value::Varint(number)) => quoted(&(*number as i64).to_string(), out),
        (Kind::Uint64, Value::Varint(number)) => quoted(&number.to_string(), out),
        (Kind::Enum(id), Value::Varint(number)) => {
            let number = *number as i32;
            match schema.enumeration(id).values.iter().find(|(_, value)| *value == number) {
                Some((name, _)) => quoted(name, out),
                // Of a newer version.
                None => out.push_str(&number.to_string()),
            }
        }
        (Kind::String, Value::Bytes(bytes)) => {
            string(std::str::from_utf8(bytes).map_err(|_| Malformed)?, out)
        }
        (Kind::Bytes, Value::Bytes(bytes)) => quoted(&STANDARD.encode(bytes), out),
        (Kind::Message(id), Value::Bytes(bytes)) => write(schema, id, bytes.clone(), out)?,
        _ => return Err(Malformed),
    }
    Ok(())
}

/// Of characters that need no care.
fn quoted(text: &str, out: &mut String) {
    out.push('"');
    out.push_str(text);
    out.push('"');
}

/// As Go writes strings: what could mean something inside HTML is escaped, too.
pub fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
