//! What names may look like: each function returns the complaints about a value, none if it is fine.
//!
//! The texts are the stock ones; kubectl prints them and tests match on them.

use super::bounds::{LABEL_BYTES, PORT_NAME_BYTES, SUBDOMAIN_BYTES};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
     and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
     alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
     validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which \
     must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. \
     '*.example.com', regex used for validation is \
     '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
     '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
     used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
     'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex \
     used for validation is '[-A-Za-z0-9]+')";

/// `must be no more than 63 bytes`.
pub fn too_long(limit_bytes: usize) -> String {
    format!("must be no more than {limit_bytes} bytes")
}

/// `must be between 1 and 65535, inclusive`.
pub fn in_range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

pub fn dns_subdomain(value: &str) -> Vec<String> {
    complaints(value, SUBDOMAIN_BYTES, is_subdomain(value), SUBDOMAIN)
}

pub fn dns_label(value: &str) -> Vec<String> {
    if !is_label(value) && is_subdomain(value) {
        let mut found = length(value, LABEL_BYTES);
        found.push("must not contain dots".to_owned());
        return found;
    }
    complaints(value, LABEL_BYTES, is_label(value), LABEL)
}

pub fn dns_label_1035(value: &str) -> Vec<String> {
    let good = is_label(value) && value.starts_with(|c: char| c.is_ascii_lowercase());
    complaints(value, LABEL_BYTES, good, LABEL_1035)
}

pub fn wildcard_subdomain(value: &str) -> Vec<String> {
    let good = value.strip_prefix("*.").is_some_and(is_subdomain);
    complaints(value, SUBDOMAIN_BYTES, good, WILDCARD)
}

/// Names that only have to fit in a URL path: RBAC roles and bindings.
pub fn path_segment(value: &str) -> Vec<String> {
    if matches!(value, "." | "..") {
        return vec![format!("may not be '{value}'")];
    }
    ["/", "%"]
        .iter()
        .filter(|part| value.contains(**part))
        .map(|part| format!("may not contain '{part}'"))
        .collect()
}

/// `[prefix/]name`: label and annotation keys, finalizers, resource names.
pub fn qualified(value: &str) -> Vec<String> {
    let (prefix, name) = match value.split_once('/') {
        None => (None, value),
        Some((prefix, name)) if !name.contains('/') => (Some(prefix), name),
        Some(_) => {
            let hint = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a qualified name {NAME_PART} {hint}")];
        }
    };
    let mut found = Vec::new();
    match prefix {
        Some("") => found.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            found.extend(dns_subdomain(prefix).into_iter().map(|text| format!("prefix part {text}")))
        }
        None => {}
    }
    if name.is_empty() {
        found.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_BYTES {
        found.push(format!("name part {}", too_long(LABEL_BYTES)));
    }
    if !is_word(name) {
        found.push(format!("name part {NAME_PART}"));
    }
    found
}

pub fn label_value(value: &str) -> Vec<String> {
    complaints(value, LABEL_BYTES, value.is_empty() || is_word(value), LABEL_VALUE)
}

/// A key of a ConfigMap or a Secret: it may become a file name.
pub fn config_key(value: &str) -> Vec<String> {
    let good = !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let mut found = complaints(value, SUBDOMAIN_BYTES, good, CONFIG_KEY);
    match value {
        "." | ".." => found.push(format!("must not be '{value}'")),
        _ if value.starts_with("..") => found.push("must not start with '..'".to_owned()),
        _ => {}
    }
    found
}

/// Environment variable names since 1.34: any printable ASCII but `=`.
pub fn environment_variable(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if value.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

pub fn http_header(value: &str) -> Vec<String> {
    let good = !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if good { Vec::new() } else { vec![HEADER.to_owned()] }
}

pub fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec![in_range(1, 65535)] }
}

/// RFC 6335 service names, in lower case.
pub fn port_name(value: &str) -> Vec<String> {
    let mut found = length(value, PORT_NAME_BYTES);
    let charset = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if value.is_empty() || !value.bytes().all(charset) {
        found.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !value.bytes().any(|b| b.is_ascii_lowercase()) {
        found.push("must contain at least one letter (a-z)".to_owned());
    }
    if value.contains("--") {
        found.push("must not contain consecutive hyphens".to_owned());
    }
    if value.starts_with('-') || value.ends_with('-') {
        found.push("must not begin or end with a hyphen".to_owned());
    }
    found
}

fn complaints(value: &str, limit_bytes: usize, good: bool, text: &str) -> Vec<String> {
    let mut found = length(value, limit_bytes);
    if !good {
        found.push(text.to_owned());
    }
    found
}

fn length(value: &str, limit_bytes: usize) -> Vec<String> {
    if value.len() > limit_bytes { vec![too_long(limit_bytes)] } else { Vec::new() }
}

fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_label(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !value.is_empty() && value.bytes().all(inner) && !value.starts_with('-') && !value.ends_with('-')
}

fn is_word(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let edge = |c: char| c.is_ascii_alphanumeric();
    value.bytes().all(inner) && value.starts_with(edge) && value.ends_with(edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_have_no_complaints() {
        for name in ["a", "web-1", "a.b-c.d", "10"] {
            assert!(dns_subdomain(name).is_empty(), "{name}");
        }
        for key in ["app", "app.kubernetes.io/name", "A_b.c"] {
            assert!(qualified(key).is_empty(), "{key}");
        }
        assert!(port_name("http-2").is_empty());
    }

    #[test]
    fn bad_names_are_named() {
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
        assert_eq!(qualified("/x"), ["prefix part must be non-empty"]);
        assert_eq!(port_name("80"), ["must contain at least one letter (a-z)"]);
        assert_eq!(path_segment("a/b"), ["may not contain '/'"]);
        assert!(dns_subdomain("Web")[0].starts_with("a lowercase RFC 1123 subdomain must consist of"));
    }
}
