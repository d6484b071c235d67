//! What turns one JSON value into another, member by member: RFC 6902's `add`, `remove` and `replace`, with what was there.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub op: &'static str,
    /// RFC 6901.
    pub path: String,
    pub old: Option<Value>,
    pub new: Option<Value>,
}

/// In the order of the paths. Elements of arrays are told apart by where they stand.
pub fn steps(old: &Value, new: &Value) -> Vec<Step> {
    let mut steps = Vec::new();
    walk(String::new(), Some(old), Some(new), &mut steps);
    steps
}

fn walk(path: String, old: Option<&Value>, new: Option<&Value>, steps: &mut Vec<Step>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let part = name.replace('~', "~0").replace('/', "~1");
                walk(format!("{path}/{part}"), old.get(name), new.get(name), steps);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for at in 0..old.len().min(new.len()) {
                walk(format!("{path}/{at}"), old.get(at), new.get(at), steps);
            }
            // From the end, so that every step's path holds when it is its turn.
            for at in (new.len()..old.len()).rev() {
                walk(format!("{path}/{at}"), old.get(at), None, steps);
            }
            for at in old.len()..new.len() {
                walk(format!("{path}/{at}"), None, new.get(at), steps);
            }
        }
        (old, new) => {
            let op = match (old, new) {
                (None, _) => "add",
                (_, None) => "remove",
                (Some(_), Some(_)) => "replace",
            };
            steps.push(Step { op, path, old: old.cloned(), new: new.cloned() });
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "(all)" } else { &self.path };
        write!(f, "{} {path}", self.op)?;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, ": {old} -> {new}"),
            (Some(value), None) | (None, Some(value)) => write!(f, ": {value}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_reads_as_what_was_done() {
        let text = |old: Value, new: Value| -> Vec<String> {
            steps(&old, &new).iter().map(ToString::to_string).collect()
        };
        let old = serde_json::json!({"a": 1, "l": [1, 2, 3], "o": {"x/y": 1}, "gone": true});
        let new = serde_json::json!({"a": 2, "l": [1, 5], "o": {"x/y": 1, "z": null}});
        assert_eq!(
            text(old, new),
            [
                "replace /a: 1 -> 2",
                "remove /gone: true",
                "replace /l/1: 2 -> 5",
                "remove /l/2: 3",
                "add /o/z: null"
            ]
        );
        assert_eq!(text(1.into(), 1.into()), Vec::<String>::new());
        assert_eq!(text(1.into(), "x".into()), ["replace (all): 1 -> \"x\""]);
    }
}
