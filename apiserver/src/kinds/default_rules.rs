//! Constant defaults as data: "in every object that `at` addresses, `field` is this unless it is set".

use serde_json::{Map, Value};

use super::walk::{each_mut, set_absent};

/// One constant default; `at` is a pattern as in [`super::walk`]. Nothing is created on the way to `at`.
pub(super) struct Rule(pub &'static str, pub &'static str, pub Constant);

#[derive(Clone, Copy)]
pub(super) enum Constant {
    Text(&'static str),
    Number(i64),
    Flag(bool),
    /// `{}`
    Object,
    /// `["…"]`
    Texts(&'static [&'static str]),
}

impl From<Constant> for Value {
    fn from(constant: Constant) -> Value {
        match constant {
            Constant::Text(text) => Value::from(text),
            Constant::Number(number) => Value::from(number),
            Constant::Flag(flag) => Value::from(flag),
            Constant::Object => Value::Object(Map::new()),
            Constant::Texts(texts) => Value::from(texts.to_vec()),
        }
    }
}

/// Applies the rules in order, so that a later rule sees what an earlier one created.
pub(super) fn fill(object: &mut Value, rules: &[Rule]) {
    for Rule(at, field, constant) in rules {
        each_mut(object, at, &mut |place| set_absent(place, field, *constant));
    }
}
