//! What changed between two versions of an object: the fields that were added, modified and removed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::Step;
use super::set::Set;
use super::shape::{Shape, element_step, elements, member_type, members, shape};
use crate::schema::Typed;
use crate::schema::types::{List, Type};

#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: Set,
    pub(super) modified: Set,
    pub(super) removed: Set,
}

impl Comparison {
    /// Added or modified.
    pub(super) fn set_now(&self) -> Set {
        self.added.clone().union(&self.modified)
    }

    /// Leaves a top-level field out of account.
    pub(super) fn ignore(&mut self, field: &str) {
        self.added.remove_field(field);
        self.modified.remove_field(field);
        self.removed.remove_field(field);
    }
}

/// Compares as the stock server does: with every embedded struct there, if only empty, and every required collection,
/// if only null. So what lies on the way to a field is not taken for an addition, and `resources: {}` equals none.
pub(super) fn compare(old: &Value, new: &Value, ty: Typed<'_>) -> Comparison {
    let (old, new) = (with_embedded(old.clone(), ty), with_embedded(new.clone(), ty));
    let mut walk = Walk { path: Vec::new(), found: Comparison::default() };
    walk.visit(Some(&old), Some(&new), ty);
    walk.found
}

fn with_embedded(value: Value, ty: Typed<'_>) -> Value {
    match value {
        Value::Object(mut object) => {
            add_embedded(&mut object, ty);
            Value::Object(
                object
                    .into_iter()
                    .map(|(name, value)| {
                        let value = with_embedded(value, member_type(ty, &name));
                        (name, value)
                    })
                    .collect(),
            )
        }
        Value::Array(items) => match ty.as_list() {
            Some(list) => Value::Array(
                items.into_iter().map(|item| with_embedded(item, ty.with(list.element))).collect(),
            ),
            None => Value::Array(items),
        },
        scalar => scalar,
    }
}

fn add_embedded(object: &mut Map<String, Value>, ty: Typed<'_>) {
    for field in ty.as_struct().into_iter().flat_map(|shape| &shape.fields) {
        let present = match field.ty {
            Type::Struct(_) if field.embedded => Value::Object(Map::new()),
            Type::List(_) | Type::Map(_) if field.required => Value::Null,
            Type::Struct(_) | Type::List(_) | Type::Map(_) | Type::Scalar(_) | Type::Any => continue,
        };
        object.entry(field.name.as_str()).or_insert(present);
    }
}

struct Walk {
    path: Vec<Step>,
    found: Comparison,
}

impl Walk {
    fn visit(&mut self, old: Option<&Value>, new: Option<&Value>, ty: Typed<'_>) {
        match shape(ty, old, new) {
            Shape::Leaf => self.leaf(old, new),
            Shape::Members => self.members(old, new, ty),
            Shape::Elements(list) => self.elements(old, new, ty, list),
        }
        match (old, new) {
            (None, Some(_)) => self.found.added.insert(&self.path),
            (Some(_), None) => self.found.removed.insert(&self.path),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if old != new => self.found.modified.insert(&self.path),
            (Some(_), Some(_)) => {}
        }
    }

    fn members(&mut self, old: Option<&Value>, new: Option<&Value>, ty: Typed<'_>) {
        let (before, after) = (members(old), members(new));
        if before.is_none_or(Map::is_empty) && after.is_none_or(Map::is_empty) {
            // Absent, null and empty differ, so nothing is below but the place itself counts.
            return self.leaf(old, new);
        }
        let gone = before
            .into_iter()
            .flatten()
            .filter(|(name, _)| !after.is_some_and(|map| map.contains_key(*name)));
        for (name, value) in gone {
            self.step(Step::field(name), Some(value), None, member_type(ty, name));
        }
        for (name, value) in after.into_iter().flatten() {
            let old = before.and_then(|map| map.get(name));
            self.step(Step::field(name), old, Some(value), member_type(ty, name));
        }
    }

    fn step(&mut self, step: Step, old: Option<&Value>, new: Option<&Value>, ty: Typed<'_>) {
        self.path.push(step);
        self.visit(old, new, ty);
        self.path.pop();
    }

    fn elements(&mut self, old: Option<&Value>, new: Option<&Value>, ty: Typed<'_>, list: &List) {
        if elements(old).is_empty() && elements(new).is_empty() {
            return self.leaf(old, new);
        }
        let mut by_step: BTreeMap<Step, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for item in elements(old) {
            if let Ok(step) = element_step(ty, list, item) {
                by_step.entry(step).or_default().0.push(item);
            }
        }
        for item in elements(new) {
            if let Ok(step) = element_step(ty, list, item) {
                by_step.entry(step).or_default().1.push(item);
            }
        }
        for (step, (old, new)) in by_step {
            self.element(step, &old, &new, ty.with(list.element));
        }
    }

    /// Usually one element on each side. Repeated ones are compared as a whole.
    fn element(&mut self, step: Step, old: &[&Value], new: &[&Value], ty: Typed<'_>) {
        let path: Vec<Step> = self.path.iter().chain([&step]).cloned().collect();
        match (old, new) {
            ([] | [_], [] | [_]) => self.step(step, old.first().copied(), new.first().copied(), ty),
            ([_, _, ..], [_, _, ..]) => {
                if old != new {
                    self.found.modified.insert(&path);
                }
            }
            ([_, _, ..], _) => {
                if let Some(new) = new.first() {
                    self.step(step, None, Some(*new), ty);
                }
                self.found.removed.insert(&path);
            }
            (_, [_, _, ..]) => {
                if let Some(old) = old.first() {
                    self.step(step, Some(*old), None, ty);
                }
                self.found.added.insert(&path);
            }
        }
    }
}
