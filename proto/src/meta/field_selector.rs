//! Field selectors: `metadata.name=web,status.phase!=Running`.
//!
//! Only equality exists. Which fields a kind offers is the kind's business; this is the text and the match.

/// A conjunction of (in)equalities on dotted field paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

/// One `field=value` or `field!=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    pub field: String,
    pub value: String,
    /// True for `!=`.
    pub negated: bool,
}

/// Why a field selector was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid selector: '{0}'; can't understand '{1}'")]
pub struct ParseError(String, String);

impl FieldSelector {
    /// Parses the query-parameter form; `\,`, `\=` and `\\` are literals in a value.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut terms = Vec::new();
        for part in split_unescaped(text).iter().filter(|part| !part.is_empty()) {
            let refuse = || ParseError(text.to_owned(), part.clone());
            let (field, value, negated) = if let Some((field, value)) = part.split_once("!=") {
                (field, value, true)
            } else if let Some((field, value)) = part.split_once("==") {
                (field, value, false)
            } else {
                let (field, value) = part.split_once('=').ok_or_else(refuse)?;
                (field, value, false)
            };
            terms.push(Term { field: field.to_owned(), value: unescape(value), negated });
        }
        Ok(Self { terms })
    }

    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The value that `field` must have, if the selector pins it; lets a list be served by one key.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| !term.negated && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether an object is selected; a field that the object lacks counts as empty.
    pub fn matches_with<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|term| (lookup(&term.field).unwrap_or("") == term.value) != term.negated)
    }
}

fn split_unescaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let last = parts.last_mut().expect("parts starts with one element and never shrinks");
        match character {
            ',' => parts.push(String::new()),
            '\\' => {
                last.push('\\');
                last.extend(characters.next());
            }
            other => last.push(other),
        }
    }
    parts
}

fn unescape(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, field: &str, value: &str) -> bool {
        let selector = FieldSelector::parse(selector).expect("selector of a test parses");
        selector.matches_with(|name| (name == field).then_some(value))
    }

    #[test]
    fn matches_equality_and_its_negation() {
        assert!(matches("", "metadata.name", "web"));
        assert!(matches("metadata.name=web", "metadata.name", "web"));
        assert!(!matches("metadata.name!=web", "metadata.name", "web"));
        assert!(matches("spec.nodeName=", "metadata.name", "web"));
        assert!(matches(r"reason=a\,b", "reason", "a,b"));
    }

    #[test]
    fn refuses_a_term_without_an_operator() {
        assert!(FieldSelector::parse("metadata.name").is_err());
    }
}
