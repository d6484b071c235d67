//! `$(VAR)` in commands, arguments, environment and subPathExpr.
//!
//! `$(NAME)` becomes the value when NAME is known and stays as it is when not; `$$` is a `$` that expands nothing.

use std::collections::BTreeMap;

pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let reference = tail.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        rest = match (tail.strip_prefix('$'), reference) {
            (Some(after), _) => {
                out.push('$');
                after
            }
            (None, Some((name, after))) => {
                match variables.get(name) {
                    Some(value) => out.push_str(value),
                    None => out.push_str(&format!("$({name})")),
                }
                after
            }
            (None, None) => {
                out.push('$');
                tail
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_unknown_escaped_and_unclosed() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let cases = [
            ("x $(A) y", "x 1 y"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("cost $5 $", "cost $5 $"),
            ("$(A", "$(A"),
            ("$A", "$A"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }
}
