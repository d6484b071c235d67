//! One scalar of a body: checks it and gives it the form in which the stock server would write it back.
//!
//! Times become UTC, quantities canonical (`1000m` → `1`), as they do after a round through the stock types.

use balsa_proto::meta::quantity::Quantity;
use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Number, Value};

use super::node::Node;
use super::types::Scalar;

const QUANTITY_FORM: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Why a scalar was refused.
pub(super) enum Refusal {
    /// The stock text names the field: `cannot unmarshal <what> into Go struct field … of type <go_type>`.
    Mismatch { what: String, go_type: &'static str },
    /// The stock text is this one alone.
    Text(String),
}

pub(super) fn read(node: Node, scalar: Scalar) -> Result<Value, Refusal> {
    match scalar {
        Scalar::String => match node {
            Node::String(text) => Ok(Value::String(text)),
            other => Err(mismatch(&other, "string")),
        },
        Scalar::Bool => match node {
            Node::Bool(flag) => Ok(Value::Bool(flag)),
            other => Err(mismatch(&other, "bool")),
        },
        Scalar::Int32 => integer(node, "int32", |number| i32::try_from(number).is_ok()),
        Scalar::Int64 => integer(node, "int64", |_| true),
        Scalar::Double => match node {
            Node::Number(number) => Ok(Value::Number(number)),
            other => Err(mismatch(&other, "float64")),
        },
        Scalar::Bytes => bytes(node),
        Scalar::Time => time(node, "2006-01-02T15:04:05Z07:00", 0),
        Scalar::MicroTime => time(node, "2006-01-02T15:04:05.000000Z07:00", 6),
        Scalar::Quantity => quantity(node),
        Scalar::IntOrString => match node {
            Node::String(text) => Ok(Value::String(text)),
            other => integer(other, "int32", |number| i32::try_from(number).is_ok()).map_err(without_field),
        },
    }
}

/// The zero value of the Go type: what `null` means inside a list or map.
pub(super) fn zero(scalar: Scalar) -> Value {
    match scalar {
        Scalar::String | Scalar::Bytes => Value::String(String::new()),
        Scalar::Bool => Value::Bool(false),
        Scalar::Int32 | Scalar::Int64 | Scalar::Double | Scalar::IntOrString => Value::Number(0.into()),
        Scalar::Quantity => Value::String("0".to_owned()),
        Scalar::Time | Scalar::MicroTime => Value::Null,
    }
}

fn mismatch(node: &Node, go_type: &'static str) -> Refusal {
    Refusal::Mismatch { what: node.go_word().to_owned(), go_type }
}

/// Types with their own decoder do not know the field they are in.
fn without_field(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Mismatch { what, go_type } => {
            Refusal::Text(format!("json: cannot unmarshal {what} into Go value of type {go_type}"))
        }
        Refusal::Text(text) => Refusal::Text(text),
    }
}

fn integer(node: Node, go_type: &'static str, fits: fn(i64) -> bool) -> Result<Value, Refusal> {
    match node {
        Node::Number(number) => match whole(&number) {
            Some(whole) if fits(whole) => Ok(Value::Number(whole.into())),
            _ => Err(Refusal::Mismatch { what: format!("number {number}"), go_type }),
        },
        other => Err(mismatch(&other, go_type)),
    }
}

fn whole(number: &Number) -> Option<i64> {
    number.as_i64()
}

fn bytes(node: Node) -> Result<Value, Refusal> {
    match node {
        Node::String(text) => match base64::engine::general_purpose::STANDARD.decode(&text) {
            Ok(_) => Ok(Value::String(text)),
            Err(_) => {
                Err(Refusal::Text(format!("illegal base64 data at input byte {}", first_illegal(&text))))
            }
        },
        other => Err(mismatch(&other, "[]uint8")),
    }
}

/// Where Go's decoder stops: the first foreign byte, or the last group if it is incomplete.
fn first_illegal(text: &str) -> usize {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.bytes().position(|byte| !legal(byte)).unwrap_or(text.len() / 4 * 4)
}

fn time(node: Node, layout: &str, decimals: usize) -> Result<Value, Refusal> {
    let Node::String(text) = node else { return Err(without_field(mismatch(&node, "string"))) };
    match text.parse::<Timestamp>() {
        Ok(time) if text.contains(['T', 't']) => Ok(Value::String(format_time(time, decimals))),
        _ => Err(Refusal::Text(format!(
            "parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""
        ))),
    }
}

/// RFC 3339 in UTC, the excess precision cut off.
pub(super) fn format_time(time: Timestamp, decimals: usize) -> String {
    match decimals {
        0 => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => {
            let micros = time.subsec_nanosecond().rem_euclid(1_000_000_000) / 1000;
            format!("{}.{micros:06}Z", time.strftime("%Y-%m-%dT%H:%M:%S"))
        }
    }
}

fn quantity(node: Node) -> Result<Value, Refusal> {
    let text = match node {
        Node::String(text) => text,
        Node::Number(number) => number.to_string(),
        Node::Null | Node::Bool(_) | Node::Array(_) | Node::Object(_) => {
            return Err(Refusal::Text(QUANTITY_FORM.to_owned()));
        }
    };
    match Quantity::parse(text.trim()) {
        Ok(quantity) => Ok(Value::String(quantity.to_string())),
        Err(_) => Err(Refusal::Text(QUANTITY_FORM.to_owned())),
    }
}
