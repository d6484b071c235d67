//! A body against its type: the object as it will be stored, and every complaint the stock decoder would have.
//!
//! In: a [`Node`] and its type. Out: the value without unknown members, nulls and empty optional collections,
//! the strict complaints (unknown and repeated members, in document order, at most [`MAX_COMPLAINTS`]), and the
//! first type error, if any. Paths of strict complaints have indexes (`spec.containers[0].x`); those of type errors do not.

use serde_json::{Map, Value};

use super::go_type;
use super::node::{Node, push_member};
use super::scalar::{self, Refusal};
use super::types::{Struct, Type, Typed};

/// The stock decoder stops collecting there.
const MAX_COMPLAINTS: usize = 100;

pub(super) struct Checked {
    pub(super) value: Value,
    /// `unknown field "spec.foo"`, `duplicate field "spec.replicas"`
    pub(super) strict: Vec<String>,
    /// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`
    pub(super) error: Option<String>,
}

pub(super) fn check(node: Node, ty: Typed<'_>) -> Checked {
    let mut walk = Walk::default();
    let value = walk.value(node, ty).unwrap_or(Value::Null);
    Checked { value, strict: walk.strict, error: walk.error }
}

#[derive(Default)]
struct Walk<'s> {
    /// `spec.containers[0].image`
    path: String,
    /// Names of the fields above, without indexes and keys.
    fields: Vec<&'s str>,
    /// The innermost struct.
    owner: &'s str,
    strict: Vec<String>,
    error: Option<String>,
}

impl<'s> Walk<'s> {
    /// None: nothing to store (null, or refused).
    fn value(&mut self, node: Node, ty: Typed<'s>) -> Option<Value> {
        match (ty.ty, node) {
            (Type::Any, Node::Null) => None,
            (Type::Any, node) => Some(node.into_value()),
            (_, Node::Null) => None,
            (Type::Scalar(kind), node) => match scalar::read(node, kind) {
                Ok(value) => Some(value),
                Err(refusal) => {
                    self.refuse(refusal);
                    None
                }
            },
            (Type::Struct(id), Node::Object(members)) => {
                Some(self.members(members, ty, ty.schemas.struct_(id)))
            }
            (Type::Map(id), Node::Object(members)) => {
                Some(self.entries(members, ty.with(ty.schemas.map(id).element)))
            }
            (Type::List(id), Node::Array(items)) => {
                Some(self.items(items, ty.with(ty.schemas.list(id).element)))
            }
            (_, node) => {
                self.type_error(node.go_word(), &go_type::name(ty));
                None
            }
        }
    }

    fn members(&mut self, members: Vec<(String, Node)>, ty: Typed<'s>, shape: &'s Struct) -> Value {
        let outer = std::mem::replace(&mut self.owner, go_type::bare(&shape.name));
        let mut seen: Vec<&'s str> = Vec::with_capacity(members.len());
        let mut object = Map::new();
        for (key, node) in members {
            let length = self.path.len();
            push_member(&mut self.path, &key);
            match shape.field(&key) {
                None => self.complain("unknown"),
                Some(field) => {
                    if seen.contains(&field.name.as_str()) {
                        self.complain("duplicate");
                    }
                    seen.push(&field.name);
                    self.fields.push(&field.name);
                    let value = self.value(node, ty.with(field.ty));
                    self.fields.pop();
                    store(&mut object, key, value, field.required || !is_collection(field.ty));
                }
            }
            self.path.truncate(length);
        }
        self.owner = outer;
        Value::Object(object)
    }

    fn entries(&mut self, members: Vec<(String, Node)>, element: Typed<'s>) -> Value {
        let mut object = Map::new();
        for (key, node) in members {
            let length = self.path.len();
            push_member(&mut self.path, &key);
            if object.contains_key(&key) {
                self.complain("duplicate");
            }
            let value = self.value(node, element).unwrap_or_else(|| zero(element));
            object.insert(key, value);
            self.path.truncate(length);
        }
        Value::Object(object)
    }

    fn items(&mut self, items: Vec<Node>, element: Typed<'s>) -> Value {
        let mut array = Vec::with_capacity(items.len());
        for (at, node) in items.into_iter().enumerate() {
            let length = self.path.len();
            self.path.push_str(&format!("[{at}]"));
            array.push(self.value(node, element).unwrap_or_else(|| zero(element)));
            self.path.truncate(length);
        }
        Value::Array(array)
    }

    fn complain(&mut self, what: &str) {
        let complaint = format!("{what} field {:?}", self.path);
        if self.strict.len() < MAX_COMPLAINTS && !self.strict.contains(&complaint) {
            self.strict.push(complaint);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Mismatch { what, go_type } => self.type_error(&what, go_type),
            Refusal::Text(text) => {
                self.error.get_or_insert(text);
            }
        }
    }

    fn type_error(&mut self, what: &str, go_type: &str) {
        let place = match self.fields.is_empty() {
            true => "value".to_owned(),
            false => format!("struct field {}.{}", self.owner, self.fields.join(".")),
        };
        self.error.get_or_insert(format!("json: cannot unmarshal {what} into Go {place} of type {go_type}"));
    }
}

/// Empty lists and maps of optional fields are not written back by the stock server either (`omitempty`).
fn store(object: &mut Map<String, Value>, key: String, value: Option<Value>, keep_empty: bool) {
    match value {
        Some(Value::Array(items)) if items.is_empty() && !keep_empty => object.remove(&key),
        Some(Value::Object(entries)) if entries.is_empty() && !keep_empty => object.remove(&key),
        Some(value) => object.insert(key, value),
        None => object.remove(&key),
    };
}

fn is_collection(ty: Type) -> bool {
    match ty {
        Type::List(_) | Type::Map(_) => true,
        Type::Scalar(_) | Type::Struct(_) | Type::Any => false,
    }
}

/// What `null` is inside a list or a map.
fn zero(ty: Typed<'_>) -> Value {
    match ty.ty {
        Type::Scalar(kind) => scalar::zero(kind),
        Type::Struct(_) | Type::Map(_) => Value::Object(Map::new()),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Any => Value::Null,
    }
}
