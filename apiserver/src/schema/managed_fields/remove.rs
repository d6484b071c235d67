//! Takes a set of fields out of an object.

use serde_json::{Map, Value};

use super::path::Step;
use super::set::Set;
use super::shape::{Shape, element_step, member_type, shape};
use crate::schema::Typed;

pub(super) fn remove_items(value: &Value, unwanted: &Set, ty: Typed<'_>) -> Value {
    visit(value, unwanted, ty).unwrap_or_else(|| Value::Object(Map::new()))
}

/// None if nothing is left.
fn visit(value: &Value, unwanted: &Set, ty: Typed<'_>) -> Option<Value> {
    match (shape(ty, None, Some(value)), value) {
        (Shape::Members, Value::Object(members)) => {
            let kept = members.iter().filter_map(|(name, member)| {
                let kept = keep(&Step::field(name), member, unwanted, member_type(ty, name))?;
                Some((name.clone(), kept))
            });
            let kept: Map<String, Value> = kept.collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        (Shape::Elements(list), Value::Array(items)) => {
            let kept = items.iter().filter_map(|item| match element_step(ty, list, item) {
                Ok(step) => keep(&step, item, unwanted, ty.with(list.element)),
                Err(_) => Some(item.clone()),
            });
            let kept: Vec<Value> = kept.collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        (Shape::Leaf, value) if value.is_array() || value.is_object() => None,
        (_, value) => Some(value.clone()),
    }
}

fn keep(step: &Step, value: &Value, unwanted: &Set, ty: Typed<'_>) -> Option<Value> {
    if unwanted.has(step) {
        return None;
    }
    match unwanted.below(step) {
        Some(below) => visit(value, below, ty),
        None => Some(value.clone()),
    }
}
