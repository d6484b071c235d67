//! Label selectors: the string form (`app=web,tier in (a,b),!legacy`) and the structured `metav1.LabelSelector`.
//!
//! A selector is a conjunction. The empty selector matches everything.
//! Source: Kubernetes API conventions, "Label selectors".

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// A conjunction of requirements on labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    /// Also matches objects that lack the key.
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    GreaterThan(i64),
    LessThan(i64),
}

/// Why a selector text was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unable to parse requirement: {0}")]
pub struct ParseError(String);

impl Selector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// True if no label can make it refuse an object.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Parses the query-parameter form.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(ParseError("found '', expected: identifier after ','".to_owned()));
            }
            requirements.push(Requirement::parse(part)?);
        }
        Ok(Self { requirements })
    }

    /// Equality with every given label, as a `spec.selector` map means it.
    pub fn from_map(labels: &BTreeMap<String, String>) -> Self {
        let requirements = labels
            .iter()
            .map(|(key, value)| Requirement { key: key.clone(), operator: Operator::In(vec![value.clone()]) })
            .collect();
        Self { requirements }
    }

    /// The structured form; an unknown operator or a missing value list is refused.
    pub fn from_label_selector(selector: &LabelSelector) -> Result<Self, ParseError> {
        let mut built = Self::from_map(selector.match_labels.as_ref().unwrap_or(&BTreeMap::new()));
        for expression in selector.match_expressions.iter().flatten() {
            let values = expression.values.clone().unwrap_or_default();
            let operator = match expression.operator.as_str() {
                "In" if !values.is_empty() => Operator::In(values),
                "NotIn" if !values.is_empty() => Operator::NotIn(values),
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(ParseError(format!("{other:?} is not a valid label selector operator"))),
            };
            built.requirements.push(Requirement { key: expression.key.clone(), operator });
        }
        Ok(built)
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// As [`Selector::matches`], over any way to look up a label.
    pub fn matches_with<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(lookup(&requirement.key)))
    }
}

impl Requirement {
    fn parse(part: &str) -> Result<Self, ParseError> {
        if let Some(key) = part.strip_prefix('!') {
            return Self::new(key, Operator::DoesNotExist);
        }
        if let Some(open) = part.find('(') {
            return Self::parse_set(part, open);
        }
        for (token, build) in COMPARISONS {
            if let Some((key, value)) = part.split_once(token) {
                let value = value.trim();
                check_value(value)?;
                return Self::new(key, build(value)?);
            }
        }
        if part.split_whitespace().count() > 1 {
            return Err(ParseError(format!("found '{part}', expected: in, notin, =, ==, !=, gt, lt")));
        }
        Self::new(part, Operator::Exists)
    }

    fn parse_set(part: &str, open: usize) -> Result<Self, ParseError> {
        let Some(close) = part.rfind(')').filter(|close| *close > open) else {
            return Err(ParseError(format!("found '{part}', expected: ',' or ')'")));
        };
        let values: Vec<String> =
            part[open + 1..close].split(',').map(|value| value.trim().to_owned()).collect();
        for value in &values {
            check_value(value)?;
        }
        let mut head = part[..open].split_whitespace();
        match (head.next(), head.next(), head.next()) {
            (Some(key), Some("in"), None) => Self::new(key, Operator::In(values)),
            (Some(key), Some("notin"), None) => Self::new(key, Operator::NotIn(values)),
            _ => Err(ParseError(format!("found '{}', expected: 'in' or 'notin'", part[..open].trim()))),
        }
    }

    fn new(key: &str, operator: Operator) -> Result<Self, ParseError> {
        let key = key.trim();
        let (prefix, name) = key.rsplit_once('/').unwrap_or(("", key));
        let valid = is_qualified_segment(name) && prefix.len() <= 253 && !name.is_empty();
        if !valid {
            return Err(ParseError(format!(
                "<nil>: Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            )));
        }
        Ok(Self { key: key.to_owned(), operator })
    }

    fn matches(&self, value: Option<&str>) -> bool {
        match (&self.operator, value) {
            (Operator::In(values), Some(value)) => values.iter().any(|wanted| wanted == value),
            (Operator::NotIn(values), Some(value)) => values.iter().all(|unwanted| unwanted != value),
            (Operator::NotIn(_) | Operator::DoesNotExist, None) => true,
            (Operator::Exists, Some(_)) => true,
            (Operator::GreaterThan(bound), Some(value)) => {
                value.parse::<i64>().is_ok_and(|value| value > *bound)
            }
            (Operator::LessThan(bound), Some(value)) => {
                value.parse::<i64>().is_ok_and(|value| value < *bound)
            }
            (Operator::DoesNotExist, Some(_)) => false,
            (Operator::In(_) | Operator::Exists | Operator::GreaterThan(_) | Operator::LessThan(_), None) => {
                false
            }
        }
    }
}

type Build = fn(&str) -> Result<Operator, ParseError>;

/// Longest token first: `!=` and `==` contain `=`.
const COMPARISONS: [(&str, Build); 5] = [
    ("!=", |value| Ok(Operator::NotIn(vec![value.to_owned()]))),
    ("==", |value| Ok(Operator::In(vec![value.to_owned()]))),
    ("=", |value| Ok(Operator::In(vec![value.to_owned()]))),
    (">", |value| Ok(Operator::GreaterThan(parse_bound(value)?))),
    ("<", |value| Ok(Operator::LessThan(parse_bound(value)?))),
];

fn parse_bound(value: &str) -> Result<i64, ParseError> {
    value.parse().map_err(|_| {
        ParseError(format!("for 'Gt', 'Lt' operators, the value must be an integer, got {value:?}"))
    })
}

/// Label values: at most 63 characters of the qualified-name alphabet, or empty.
fn check_value(value: &str) -> Result<(), ParseError> {
    if value.is_empty() || is_qualified_segment(value) {
        return Ok(());
    }
    Err(ParseError(format!(
        "<nil>: Invalid value: \"{value}\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    )))
}

fn is_qualified_segment(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn split_outside_parentheses(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0i32;
    text.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    })
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, requirement) in self.requirements.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            let key = &requirement.key;
            match &requirement.operator {
                Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Operator::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Operator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Operator::Exists => f.write_str(key)?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
                Operator::GreaterThan(bound) => write!(f, "{key}>{bound}")?,
                Operator::LessThan(bound) => write!(f, "{key}<{bound}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels are written as a selector of equalities.
    fn check(selector: &str, labels: &str, expected: bool) {
        let labels = labels
            .split_terminator(',')
            .map(|pair| pair.split_once('=').expect("labels of a test are key=value"))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let parsed = Selector::parse(selector).expect("selector of a test parses");
        assert_eq!(parsed.matches(&labels), expected, "{selector} on {labels:?}");
        assert_eq!(Selector::parse(&parsed.to_string()), Ok(parsed), "{selector} round-trips");
    }

    #[test]
    fn matches_as_documented() {
        check("", "a=b", true);
        check("a=b", "a=b", true);
        check("a==b", "a=c", false);
        check("a!=b", "", true);
        check("a!=b", "a=b", false);
        check("a in (x, y),c", "a=y,c=1", true);
        check("a in (x,y)", "", false);
        check("a notin (x,y)", "", true);
        check("a notin (x,y)", "a=x", false);
        check("!a", "", true);
        check("!a", "a=1", false);
        check("a>5", "a=6", true);
        check("a<5", "a=6", false);
        check("app.kubernetes.io/name=web", "app.kubernetes.io/name=web", true);
    }

    #[test]
    fn refuses_what_is_not_a_selector() {
        for text in ["a=b,,c", "a in (b", "a of (b)", "a b", "=b", "a=-b", "a>x"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
