//! All the fields that an object sets: what an applied configuration owns.

use serde_json::Value;

use super::path::Step;
use super::set::Set;
use super::shape::{Shape, element_step, elements, member_type, members, shape};
use crate::schema::Typed;
use crate::schema::types::List;

pub(super) fn field_set(value: &Value, ty: Typed<'_>) -> Set {
    let mut walk = Walk { path: Vec::new(), set: Set::default() };
    walk.visit(value, ty);
    walk.set
}

struct Walk {
    path: Vec<Step>,
    set: Set,
}

impl Walk {
    fn visit(&mut self, value: &Value, ty: Typed<'_>) {
        match shape(ty, None, Some(value)) {
            Shape::Leaf => self.set.insert(&self.path),
            Shape::Members => self.visit_members(value, ty),
            Shape::Elements(list) => self.visit_elements(elements(Some(value)), ty, list),
        }
    }

    fn visit_members(&mut self, value: &Value, ty: Typed<'_>) {
        for (name, member) in members(Some(value)).into_iter().flatten() {
            self.path.push(Step::field(name));
            self.visit(member, member_type(ty, name));
            let empty = member.is_null() || member.as_object().is_some_and(serde_json::Map::is_empty);
            // Keys of a map are owned like list elements; fields of a struct are there anyway.
            if empty || ty.field(name).is_none() {
                self.set.insert(&self.path);
            }
            self.path.pop();
        }
    }

    fn visit_elements(&mut self, items: &[Value], ty: Typed<'_>, list: &List) {
        let steps: Vec<(Step, &Value)> =
            items.iter().filter_map(|item| Some((element_step(ty, list, item).ok()?, item))).collect();
        for (step, item) in &steps {
            let repeated = steps.iter().filter(|(other, _)| other == step).count() > 1;
            self.path.push(step.clone());
            // Repeated elements cannot be told apart: they are owned as a whole.
            if !repeated {
                self.visit(item, ty.with(list.element));
            }
            self.set.insert(&self.path);
            self.path.pop();
        }
    }
}
