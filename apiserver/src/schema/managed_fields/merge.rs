//! An applied configuration laid over a live object, by schema: leaves of the configuration win, lists with keys are
//! merged element by element, and nothing is ever removed here (see `remove.rs`).

use serde_json::{Map, Value};

use super::path::Step;
use super::shape::{Shape, element_step, elements, member_type, members, shape};
use crate::schema::Typed;
use crate::schema::types::List;

/// The error is the stock text about list elements that cannot be told apart.
pub(super) fn merge(live: &Value, applied: &Value, ty: Typed<'_>) -> Result<Value, String> {
    visit(Some(live), Some(applied), ty).map(|merged| merged.unwrap_or_else(|| Value::Object(Map::new())))
}

fn visit(live: Option<&Value>, applied: Option<&Value>, ty: Typed<'_>) -> Result<Option<Value>, String> {
    match shape(ty, live, applied) {
        Shape::Leaf => Ok(leaf(live, applied)),
        Shape::Members => merge_members(live, applied, ty),
        Shape::Elements(list) => merge_elements(live, applied, ty, list),
    }
}

fn leaf(live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    applied.or(live).cloned()
}

fn merge_members(
    live: Option<&Value>,
    applied: Option<&Value>,
    ty: Typed<'_>,
) -> Result<Option<Value>, String> {
    let (before, over) = (members(live), members(applied));
    if before.is_none_or(Map::is_empty) && over.is_none_or(Map::is_empty) {
        return Ok(leaf(live, applied));
    }
    let mut merged = Map::new();
    let only_live =
        before.into_iter().flatten().filter(|(name, _)| !over.is_some_and(|map| map.contains_key(*name)));
    for (name, value) in only_live {
        merged.insert(name.clone(), value.clone());
    }
    for (name, value) in over.into_iter().flatten() {
        let live = before.and_then(|map| map.get(name));
        if let Some(value) = visit(live, Some(value), member_type(ty, name))? {
            merged.insert(name.clone(), value);
        }
    }
    Ok(Some(Value::Object(merged)))
}

/// Elements that both have keep the order of the configuration; elements only on the live side keep their place
/// before the shared element that followed them.
fn merge_elements(
    live: Option<&Value>,
    applied: Option<&Value>,
    ty: Typed<'_>,
    list: &List,
) -> Result<Option<Value>, String> {
    if elements(live).is_empty() && elements(applied).is_empty() {
        return Ok(leaf(live, applied));
    }
    let left = steps(elements(live), ty, list)?;
    let right = steps(elements(applied), ty, list)?;
    if let Some((step, _)) = right
        .iter()
        .enumerate()
        .find_map(|(at, one)| right[..at].iter().any(|(step, _)| *step == one.0).then_some(one))
    {
        return Err(format!("duplicate entries for key {step}"));
    }
    let mut order = Interleave { left: &left, right: &right, merged: Vec::new() };
    order.run();
    let element = ty.with(list.element);
    let merged = order.merged.into_iter().map(|(live, applied)| visit(live, applied, element));
    let merged: Vec<Value> = merged.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    Ok(Some(Value::Array(merged)))
}

type Steps<'v> = Vec<(Step, &'v Value)>;

fn steps<'v>(items: &'v [Value], ty: Typed<'_>, list: &List) -> Result<Steps<'v>, String> {
    let with_step = |(at, item): (usize, &'v Value)| {
        element_step(ty, list, item)
            .map(|step| (step, item))
            .map_err(|error| format!("element {at}: {error}"))
    };
    items.iter().enumerate().map(with_step).collect()
}

struct Interleave<'a, 'v> {
    left: &'a Steps<'v>,
    right: &'a Steps<'v>,
    merged: Vec<(Option<&'v Value>, Option<&'v Value>)>,
}

impl Interleave<'_, '_> {
    fn run(&mut self) {
        let mut shared =
            self.right.iter().map(|(step, _)| step).filter(|step| find(self.left, step).is_some());
        let mut next_shared = shared.next();
        let (mut l, mut r) = (0, 0);
        while l < self.left.len() || r < self.right.len() {
            if let (Some((at_left, item)), Some((at_right, applied))) = (self.left.get(l), self.right.get(r))
            {
                if at_left == at_right {
                    self.merged.push((unrepeated(self.left, at_left, item), Some(*applied)));
                    (l, r) = (l + 1, r + 1);
                    next_shared = shared.next();
                    continue;
                }
                let also_applied = find(self.right, at_left).is_some();
                if also_applied && next_shared.is_some_and(|step| step != at_left) {
                    // It comes later, where the configuration has it.
                    l += 1;
                    continue;
                }
            }
            if let Some((step, item)) = self.left.get(l) {
                match find(self.right, step) {
                    None => {
                        self.merged.push((Some(*item), None));
                        l += 1;
                        continue;
                    }
                    // Merged already, with the configuration's element.
                    Some(at) if at < r => {
                        l += 1;
                        continue;
                    }
                    Some(_) => {}
                }
            }
            if let Some((step, applied)) = self.right.get(r) {
                let live = find(self.left, step).map(|at| self.left[at].1);
                self.merged.push((live.and_then(|item| unrepeated(self.left, step, item)), Some(*applied)));
                r += 1;
                if next_shared == Some(step) {
                    next_shared = shared.next();
                }
            }
        }
    }
}

fn find(steps: &Steps<'_>, wanted: &Step) -> Option<usize> {
    steps.iter().position(|(step, _)| step == wanted)
}

/// A live element that occurs more than once is replaced, not merged.
fn unrepeated<'v>(steps: &Steps<'v>, wanted: &Step, item: &'v Value) -> Option<&'v Value> {
    (steps.iter().filter(|(step, _)| step == wanted).count() == 1).then_some(item)
}
