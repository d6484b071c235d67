//! How a value takes part in merging: as one leaf, as members, or as elements told apart by keys.

use serde_json::{Map, Value};

use super::path::{Atom, Step};
use crate::schema::Typed;
use crate::schema::types::{List, ListMerge, Scalar, Type};

/// What the type makes of the value or values at a place.
pub(super) enum Shape<'s> {
    Leaf,
    Members,
    Elements(&'s List),
}

/// The shape at a place where one or both sides have a value. Values that do not fit their type are leaves.
pub(super) fn shape<'s>(ty: Typed<'s>, old: Option<&Value>, new: Option<&Value>) -> Shape<'s> {
    if ty.is_atomic() {
        return Shape::Leaf;
    }
    let mut sides = [old, new].into_iter().flatten().filter(|value| !value.is_null());
    match ty.as_list() {
        Some(list) if sides.all(Value::is_array) => Shape::Elements(list),
        None if sides.all(Value::is_object) => Shape::Members,
        Some(_) | None => Shape::Leaf,
    }
}

pub(super) fn members(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

pub(super) fn elements(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The type of a member; free-form members have none.
pub(super) fn member_type<'s>(ty: Typed<'s>, name: &str) -> Typed<'s> {
    ty.member(name).unwrap_or(ty.with(Type::Any))
}

/// The step to an element of a set or keyed list. The error is the stock text.
pub(super) fn element_step(ty: Typed<'_>, list: &List, item: &Value) -> Result<Step, String> {
    match &list.merge {
        ListMerge::Atomic { .. } => Err("invalid indexing of non-associative list".to_owned()),
        ListMerge::Set => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null".to_owned())
            }
            scalar => Ok(Step::Value(Atom(scalar.clone()))),
        },
        ListMerge::Map(names) => {
            let element = ty.with(list.element);
            match item {
                Value::Null => {
                    return Err("associative list with keys may not have a null element".to_owned());
                }
                Value::Object(_) => {}
                _ => return Err("associative list with keys may not have non-map elements".to_owned()),
            }
            let mut keys: Vec<_> = names
                .iter()
                .filter_map(|name| {
                    let value = item.get(name.as_str()).cloned().or_else(|| default_of(element, name))?;
                    Some((name.clone(), Atom(value)))
                })
                .collect();
            if keys.is_empty() {
                let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
                     values for any key fields)",
                    quoted.join(" ")
                ));
            }
            keys.sort();
            Ok(Step::Key(keys))
        }
    }
}

/// The published default of a key; required scalars default to their zero.
fn default_of(element: Typed<'_>, name: &str) -> Option<Value> {
    let field = element.field(name)?;
    if let Some(json) = &field.default {
        return serde_json::from_str(json).ok();
    }
    match field.ty {
        Type::Scalar(Scalar::String) if field.required => Some(Value::String(String::new())),
        Type::Scalar(Scalar::Int32 | Scalar::Int64) if field.required => Some(Value::Number(0.into())),
        _ => None,
    }
}
