//! One RBAC policy rule: what it allows and what it covers.
//!
//! `*` stands for everything; `*/scale` for one subresource of every resource; a trailing `*` in a URL for
//! any ending. Source: k8s.io/kubernetes `pkg/apis/rbac/v1/evaluation_helpers.go` (behaviour).

use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::request::RequestInfo;

pub const ALL: &str = "*";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub verbs: Vec<SmolStr>,
    pub api_groups: Vec<SmolStr>,
    pub resources: Vec<SmolStr>,
    pub resource_names: Vec<SmolStr>,
    pub non_resource_urls: Vec<SmolStr>,
}

impl Rule {
    pub fn from_value(value: &Value) -> Self {
        Self {
            verbs: strings(value, "verbs"),
            api_groups: strings(value, "apiGroups"),
            resources: strings(value, "resources"),
            resource_names: strings(value, "resourceNames"),
            non_resource_urls: strings(value, "nonResourceURLs"),
        }
    }

    /// The `rules` of a Role or ClusterRole.
    pub fn list(role: &Value) -> Vec<Self> {
        role["rules"].as_array().map(|rules| rules.iter().map(Self::from_value).collect()).unwrap_or_default()
    }

    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        let fields = [
            ("apiGroups", &self.api_groups),
            ("nonResourceURLs", &self.non_resource_urls),
            ("resourceNames", &self.resource_names),
            ("resources", &self.resources),
        ];
        for (name, values) in fields {
            if !values.is_empty() {
                map.insert(name.to_owned(), to_array(values));
            }
        }
        map.insert("verbs".to_owned(), to_array(&self.verbs));
        Value::Object(map)
    }

    pub fn allows(&self, request: &RequestInfo) -> bool {
        if !has(&self.verbs, &request.verb) {
            return false;
        }
        if !request.is_resource_request {
            return self.non_resource_urls.iter().any(|url| url_matches(url, &request.path));
        }
        has(&self.api_groups, &request.api_group)
            && self
                .resources
                .iter()
                .any(|rule| resource_matches(rule, &request.resource, &request.subresource))
            && (self.resource_names.is_empty()
                || self.resource_names.iter().any(|name| name == &request.name))
    }

    /// Whether whoever holds `self` may do all that `other` allows. `other` must come from [`Rule::split`].
    pub fn covers(&self, other: &Rule) -> bool {
        all_in(&self.verbs, &other.verbs, |held, wanted| held == wanted)
            && all_in(&self.api_groups, &other.api_groups, |held, wanted| held == wanted)
            && all_in(&self.resources, &other.resources, resource_covers)
            && names_cover(&self.resource_names, &other.resource_names)
            && all_in(&self.non_resource_urls, &other.non_resource_urls, url_covers)
    }

    /// The same rights as rules of one verb, group, resource and name (or one verb and URL) each.
    pub fn split(&self) -> Vec<Rule> {
        let mut parts = Vec::new();
        for verb in &self.verbs {
            for url in &self.non_resource_urls {
                parts.push(Rule {
                    verbs: vec![verb.clone()],
                    non_resource_urls: vec![url.clone()],
                    ..Rule::default()
                });
            }
            for group in &self.api_groups {
                for resource in &self.resources {
                    self.split_names(verb, group, resource, &mut parts);
                }
            }
        }
        parts
    }

    fn split_names(&self, verb: &SmolStr, group: &SmolStr, resource: &SmolStr, parts: &mut Vec<Rule>) {
        let one = Rule {
            verbs: vec![verb.clone()],
            api_groups: vec![group.clone()],
            resources: vec![resource.clone()],
            ..Rule::default()
        };
        if self.resource_names.is_empty() {
            parts.push(one);
            return;
        }
        parts.extend(
            self.resource_names.iter().map(|name| Rule { resource_names: vec![name.clone()], ..one.clone() }),
        );
    }

    /// `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`, as escalation texts print it.
    pub fn compact_text(&self) -> String {
        let fields = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let parts: Vec<String> = fields
            .iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| format!("{name}:{}", quoted_list(values)))
            .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// Go's `%q` of a list: `["a" "b"]`.
pub fn quoted_list<S: AsRef<str>>(values: &[S]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{:?}", value.as_ref())).collect();
    format!("[{}]", quoted.join(" "))
}

fn strings(value: &Value, field: &str) -> Vec<SmolStr> {
    value[field]
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).map(SmolStr::from).collect())
        .unwrap_or_default()
}

fn to_array(values: &[SmolStr]) -> Value {
    Value::Array(values.iter().map(|value| Value::from(value.as_str())).collect())
}

fn has(held: &[SmolStr], wanted: &str) -> bool {
    held.iter().any(|value| value == ALL || value == wanted)
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == ALL {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    match rule.split_once('/') {
        Some((rule_resource, rule_subresource)) => {
            rule_subresource == subresource && (rule_resource == ALL || rule_resource == resource)
        }
        None => false,
    }
}

fn url_matches(rule: &str, path: &str) -> bool {
    rule == ALL || rule == path || rule.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}

fn all_in(held: &[SmolStr], wanted: &[SmolStr], covers: fn(&str, &str) -> bool) -> bool {
    held.iter().any(|value| value == ALL)
        || wanted.iter().all(|want| held.iter().any(|have| covers(have, want)))
}

fn resource_covers(held: &str, wanted: &str) -> bool {
    held == wanted
        || matches!((held.strip_prefix("*/"), wanted.split_once('/')), (Some(have), Some((_, want))) if have == want)
}

fn names_cover(held: &[SmolStr], wanted: &[SmolStr]) -> bool {
    held.is_empty() || (!wanted.is_empty() && wanted.iter().all(|name| held.contains(name)))
}

fn url_covers(held: &str, wanted: &str) -> bool {
    held == wanted || held.strip_suffix('*').is_some_and(|start| wanted.starts_with(start))
}
