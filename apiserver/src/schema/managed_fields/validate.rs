//! A configuration against its schema, with the texts of server-side apply.

use serde_json::Value;

use super::path::{self, Step};
use super::shape::element_step;
use crate::schema::Typed;
use crate::schema::types::{List, ListMerge, Scalar, Type};

/// None if the configuration fits; else every complaint in one text.
pub(super) fn complaints(value: &Value, ty: Typed<'_>) -> Option<String> {
    let mut walk = Walk { path: Vec::new(), found: Vec::new() };
    walk.visit(value, ty);
    match walk.found.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("errors:\n  {}", many.join("\n  "))),
    }
}

struct Walk {
    path: Vec<Step>,
    found: Vec<String>,
}

impl Walk {
    fn complain(&mut self, what: &str) {
        self.found.push(format!("{}: {what}", path::display(&self.path)));
    }

    fn visit(&mut self, value: &Value, ty: Typed<'_>) {
        match (ty.ty, value) {
            (_, Value::Null) | (Type::Any, _) => {}
            (Type::Scalar(scalar), value) => self.scalar(scalar, value),
            (Type::Struct(_) | Type::Map(_), Value::Object(members)) => {
                for (name, member) in members {
                    self.member(name, member, ty);
                }
            }
            (Type::List(id), Value::Array(items)) => self.elements(items, ty, ty.schemas.list(id)),
            (Type::Struct(_) | Type::Map(_), other) => {
                self.complain(&format!("expected map, got &{{{}}}", go(other)))
            }
            (Type::List(_), other) => self.complain(&format!("expected list, got &{{{}}}", go(other))),
        }
    }

    fn member(&mut self, name: &str, member: &Value, ty: Typed<'_>) {
        self.path.push(Step::field(name));
        match ty.member(name) {
            Some(ty) => self.visit(member, ty),
            None => self.complain("field not declared in schema"),
        }
        self.path.pop();
    }

    fn elements(&mut self, items: &[Value], ty: Typed<'_>, list: &List) {
        let mut seen: Vec<Step> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let step = match (&list.merge, element_step(ty, list, item)) {
                (ListMerge::Atomic { .. }, _) => Step::Index(at as i64),
                (_, Ok(step)) if seen.contains(&step) => {
                    self.complain(&format!("duplicate entries for key {step}"));
                    continue;
                }
                (_, Ok(step)) => step,
                (_, Err(error)) => {
                    self.complain(&format!("element {at}: {error}"));
                    continue;
                }
            };
            seen.push(step.clone());
            self.path.push(step);
            self.visit(item, ty.with(list.element));
            self.path.pop();
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        let wrapped = || format!("&value.valueUnstructured{{Value:{}}}", go(value));
        match scalar {
            Scalar::String | Scalar::Bytes if !value.is_string() => {
                self.complain(&format!("expected string, got {}", wrapped()));
            }
            Scalar::Bool if !value.is_boolean() => {
                self.complain(&format!("expected boolean, got {}", wrapped()))
            }
            Scalar::Int32 | Scalar::Int64 | Scalar::Double if !value.is_number() => {
                self.complain(&format!("expected numeric (int or float), got {}", go_type(value)));
            }
            // Quantities, times and int-or-string are checked when the merged object is decoded.
            _ => {}
        }
    }
}

fn go(value: &Value) -> String {
    value.to_string()
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
