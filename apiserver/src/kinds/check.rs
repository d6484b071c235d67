//! Validation vocabulary: common checks that append the stock complaint to a list of field errors.

use serde_json::Value;

use super::names;
use super::walk::{each, join};
use crate::error::FieldError;

/// The complaints so far.
pub(crate) type Errors = Vec<FieldError>;

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// A constraint on one field of every object that a pattern addresses.
pub(super) enum Check {
    /// Present and not empty.
    Required(&'static str, &'static str),
    /// If present, zero or more.
    NotNegative(&'static str, &'static str),
    /// If present and not empty, one of these.
    OneOf(&'static str, &'static str, &'static [&'static str]),
    /// If present, within the bounds.
    Range(&'static str, &'static str, i64, i64),
    /// If present and not empty, free of complaints.
    Named(&'static str, &'static str, fn(&str) -> Vec<String>),
}

/// Runs the checks in order.
pub(super) fn run(object: &Value, checks: &[Check], errors: &mut Errors) {
    checks.iter().for_each(|check| check.run(object, errors));
}

impl Check {
    fn run(&self, object: &Value, errors: &mut Errors) {
        match *self {
            Check::Required(at, field) => {
                each(object, at, &mut |path, place| {
                    required(place, path, field, errors);
                });
            }
            Check::NotNegative(at, field) => {
                each(object, at, &mut |path, place| not_negative(place, path, field, errors));
            }
            Check::OneOf(at, field, allowed) => {
                each(object, at, &mut |path, place| one_of(place, path, field, allowed, errors));
            }
            Check::Range(at, field, low, high) => {
                each(object, at, &mut |path, place| range(place, path, field, (low, high), errors));
            }
            Check::Named(at, field, complaints) => {
                each(object, at, &mut |path, place| named(place, path, field, complaints, errors));
            }
        }
    }
}

/// Returns whether the field is there.
pub(crate) fn required(place: &Value, path: &str, field: &str, errors: &mut Errors) -> bool {
    let absent = match place.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    };
    if absent {
        errors.push(FieldError::required(join(path, field), ""));
    }
    !absent
}

pub(crate) fn not_negative(place: &Value, path: &str, field: &str, errors: &mut Errors) {
    if let Some(number) = place.get(field).and_then(Value::as_i64)
        && number < 0
    {
        errors.push(FieldError::invalid(join(path, field), number, NOT_NEGATIVE));
    }
}

pub(crate) fn one_of(place: &Value, path: &str, field: &str, allowed: &[&str], errors: &mut Errors) {
    if let Some(value) = place.get(field).and_then(Value::as_str)
        && !value.is_empty()
        && !allowed.contains(&value)
    {
        errors.push(FieldError::not_supported(join(path, field), value, allowed));
    }
}

pub(crate) fn range(place: &Value, path: &str, field: &str, (low, high): (i64, i64), errors: &mut Errors) {
    if let Some(number) = place.get(field).and_then(Value::as_i64)
        && !(low..=high).contains(&number)
    {
        errors.push(FieldError::invalid(join(path, field), number, names::in_range(low, high)));
    }
}

pub(crate) fn named(
    place: &Value,
    path: &str,
    field: &str,
    complaints: fn(&str) -> Vec<String>,
    errors: &mut Errors,
) {
    // Empty is as good as absent: what must be there is checked with `required`.
    if let Some(value) = place.get(field).and_then(Value::as_str).filter(|value| !value.is_empty()) {
        value_named(value, &join(path, field), complaints, errors);
    }
}

/// Appends every complaint about the value, each as its own field error.
pub(crate) fn value_named(value: &str, path: &str, complaints: fn(&str) -> Vec<String>, errors: &mut Errors) {
    errors.extend(complaints(value).into_iter().map(|text| FieldError::invalid(path, value, text)));
}

/// `field is immutable` if the member at the pointer differs.
pub(crate) fn immutable(new: &Value, old: &Value, pointer: &str, errors: &mut Errors) {
    let (now, before) = (new.pointer(pointer), old.pointer(pointer));
    if now != before {
        let bad = now.cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid(dotted(pointer), bad, IMMUTABLE));
    }
}

/// `/spec/selector` is printed `spec.selector`.
pub(crate) fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// Port numbers as a stock server words them.
pub(crate) fn port(place: &Value, path: &str, field: &str, errors: &mut Errors) {
    if let Some(number) = place.get(field).and_then(Value::as_i64) {
        let complaints = names::port_number(number);
        errors
            .extend(complaints.into_iter().map(|text| FieldError::invalid(join(path, field), number, text)));
    }
}

/// A port number or the name of one, as probes and service ports use it.
pub(crate) fn port_or_name(place: &Value, path: &str, field: &str, errors: &mut Errors) {
    match place.get(field) {
        Some(Value::String(name)) => value_named(name, &join(path, field), names::port_name, errors),
        Some(Value::Number(_)) => port(place, path, field, errors),
        _ => errors.push(FieldError::required(join(path, field), "")),
    }
}

/// A count, or a percentage such as `25%`; `at_most_all` also refuses more than 100%.
pub(crate) fn count_or_percent(
    place: &Value,
    path: &str,
    field: &str,
    at_most_all: bool,
    errors: &mut Errors,
) {
    let at = join(path, field);
    match place.get(field) {
        Some(Value::Number(number)) if number.as_i64().is_some_and(|n| n < 0) => {
            errors.push(FieldError::invalid(at, place[field].clone(), NOT_NEGATIVE));
        }
        Some(Value::String(text)) => match percent(text) {
            None => {
                let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  \
                              or '93%', regex used for validation is '[0-9]+%')";
                errors.push(FieldError::invalid(at, text.as_str(), detail));
            }
            Some(share) if at_most_all && share > 100 => {
                errors.push(FieldError::invalid(at, text.as_str(), "must not be greater than 100%"));
            }
            Some(_) => {}
        },
        _ => {}
    }
}

/// The number before the `%`.
pub(crate) fn percent(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
