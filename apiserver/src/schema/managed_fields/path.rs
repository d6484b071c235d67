//! One step of a path into an object, as managed fields name it.
//!
//! `f:replicas` is a member, `k:{"name":"web"}` an element of a list told apart by keys, `v:"x"` an element of a set,
//! `i:0` a position. Steps are ordered (members, keys, values, positions), and so are sets of them.
//! Source: sigs.k8s.io/structured-merge-diff `fieldpath` (format and order).

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};
use smol_str::SmolStr;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Field(SmolStr),
    /// Ordered by name.
    Key(Vec<(SmolStr, Atom)>),
    Value(Atom),
    Index(i64),
}

/// A JSON value with a total order: numbers by value, everything else by kind and content.
#[derive(Debug, Clone)]
pub(super) struct Atom(pub(super) Value);

impl Step {
    pub(super) fn field(name: &str) -> Step {
        Step::Field(SmolStr::new(name))
    }

    /// From the key of a FieldsV1 object; None if it is no step that we know.
    pub(super) fn parse(text: &str) -> Option<Step> {
        let (kind, rest) = text.split_at_checked(2)?;
        match kind {
            "f:" => Some(Step::field(rest)),
            "v:" => serde_json::from_str(rest).ok().map(|value| Step::Value(Atom(value))),
            "i:" => rest.parse().ok().map(Step::Index),
            "k:" => {
                let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
                let mut keys: Vec<_> =
                    keys.into_iter().map(|(name, value)| (SmolStr::new(name), Atom(value))).collect();
                keys.sort();
                Some(Step::Key(keys))
            }
            _ => None,
        }
    }

    /// The key of a FieldsV1 object.
    pub(super) fn encode(&self) -> String {
        match self {
            Step::Field(name) => format!("f:{name}"),
            Step::Value(Atom(value)) => format!("v:{value}"),
            Step::Index(at) => format!("i:{at}"),
            Step::Key(keys) => {
                let keys: Map<String, Value> =
                    keys.iter().map(|(name, Atom(value))| (name.to_string(), value.clone())).collect();
                format!("k:{}", Value::Object(keys))
            }
        }
    }
}

/// As error texts write it: `.spec`, `[name="web"]`, `[="x"]`, `[0]`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Field(name) => write!(f, ".{name}"),
            Step::Value(Atom(value)) => write!(f, "[={value}]"),
            Step::Index(at) => write!(f, "[{at}]"),
            Step::Key(keys) => {
                f.write_str("[")?;
                for (at, (name, Atom(value))) in keys.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{name}={value}")?;
                }
                f.write_str("]")
            }
        }
    }
}

/// `.spec.template.spec.containers[name="web"].image`
pub(super) fn display(path: &[Step]) -> String {
    path.iter().map(Step::to_string).collect()
}

impl Atom {
    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_f64().unwrap_or(f64::MAX).total_cmp(&b.as_f64().unwrap_or(f64::MAX)),
            },
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
                self.0.to_string().cmp(&other.0.to_string())
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}
