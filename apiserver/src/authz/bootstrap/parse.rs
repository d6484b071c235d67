//! Reads `policy.txt` into roles and bindings. The text is part of the binary, so a mistake in it is a
//! programmer's error: it panics with the line, and a test parses it.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::authz::rule::Rule;

#[derive(Debug, Default)]
pub struct Policy {
    pub roles: Vec<Role>,
    pub bindings: Vec<Binding>,
}

#[derive(Debug)]
pub struct Role {
    /// Empty: a ClusterRole.
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// The label whose bearers' rules make up this role.
    pub aggregates: Option<String>,
    pub rules: Vec<Rule>,
}

#[derive(Debug)]
pub struct Binding {
    /// Empty: a ClusterRoleBinding.
    pub namespace: String,
    pub name: String,
    pub role: String,
    pub subjects: Vec<Subject>,
}

#[derive(Debug)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
}

pub fn parse(text: &str) -> Policy {
    let mut policy = Policy::default();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let understood = match line.strip_prefix("  ") {
            Some(rule) => policy.roles.last_mut().and_then(|role| add_rule(role, rule)),
            None => add_head(&mut policy, line),
        };
        assert!(understood.is_some(), "policy.txt line {}: {line}", index + 1);
    }
    aggregate(&mut policy.roles);
    policy
}

fn add_head(policy: &mut Policy, line: &str) -> Option<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["clusterrole", name, labels @ ..] => policy.roles.push(role("", name, labels)?),
        ["role", path] => {
            let (namespace, name) = path.split_once('/')?;
            policy.roles.push(role(namespace, name, &[])?);
        }
        ["binding", name, role, subjects @ ..] => policy.bindings.push(binding("", name, role, subjects)?),
        ["rolebinding", path, role, subjects @ ..] => {
            let (namespace, name) = path.split_once('/')?;
            policy.bindings.push(binding(namespace, name, role, subjects)?);
        }
        ["controller", name] => {
            let full_name = format!("system:controller:{name}");
            let account = format!("ServiceAccount:kube-system/{name}");
            policy.roles.push(role("", &full_name, &[])?);
            let subjects = [account.as_str(), "User:system:kube-controller-manager"];
            policy.bindings.push(binding("", &full_name, &full_name, &subjects)?);
        }
        _ => return None,
    }
    Some(())
}

fn role(namespace: &str, name: &str, labels: &[&str]) -> Option<Role> {
    let labels = labels.iter().map(|label| {
        let (key, value) = label.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    });
    Some(Role {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: labels.collect::<Option<_>>()?,
        aggregates: None,
        rules: Vec::new(),
    })
}

fn binding(namespace: &str, name: &str, role: &str, subjects: &[&str]) -> Option<Binding> {
    Some(Binding {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        role: role.to_owned(),
        subjects: subjects.iter().map(|text| subject(text)).collect::<Option<_>>()?,
    })
}

fn subject(text: &str) -> Option<Subject> {
    let (kind, name) = text.split_once(':')?;
    let (kind, namespace, name) = match kind {
        "User" => ("User", "", name),
        "Group" => ("Group", "", name),
        "ServiceAccount" => {
            let (namespace, name) = name.split_once('/')?;
            ("ServiceAccount", namespace, name)
        }
        _ => return None,
    };
    Some(Subject { kind, namespace: namespace.to_owned(), name: name.to_owned() })
}

fn add_rule(role: &mut Role, line: &str) -> Option<()> {
    let mut words = line.split_whitespace();
    let verbs = words.next()?;
    if verbs == "aggregates" {
        role.aggregates = Some(words.next()?.to_owned());
        return Some(());
    }
    let mut rule = Rule { verbs: verbs_of(verbs), ..Rule::default() };
    let rest: Vec<&str> = words.collect();
    match rest.first()?.strip_suffix(':') {
        Some(groups) => {
            rule.api_groups = groups
                .split(',')
                .map(|group| SmolStr::from(if group == "core" { "" } else { group }))
                .collect();
            for word in &rest[1..] {
                match word.strip_prefix('@') {
                    Some(names) => rule.resource_names = names.split(',').map(SmolStr::from).collect(),
                    None => rule.resources.push(SmolStr::from(*word)),
                }
            }
        }
        None if rest == ["url*"] => rule.non_resource_urls.push(SmolStr::from("*")),
        None => rule.non_resource_urls = rest.into_iter().map(SmolStr::from).collect(),
    }
    role.rules.push(rule);
    Some(())
}

/// Written out and sorted, as stock roles show them.
fn verbs_of(text: &str) -> Vec<SmolStr> {
    let mut verbs: Vec<SmolStr> = text
        .split(',')
        .flat_map(|word| match word {
            "read" => vec!["get", "list", "watch"],
            "write" => vec!["create", "delete", "deletecollection", "patch", "update"],
            one => vec![one],
        })
        .map(SmolStr::from)
        .collect();
    verbs.sort();
    verbs.dedup();
    verbs
}

/// Fills the rules of aggregating roles. `view` is part of `edit`, which is part of `admin`, so the pass is
/// repeated until nothing grows.
fn aggregate(roles: &mut [Role]) {
    loop {
        let mut has_grown = false;
        for index in 0..roles.len() {
            let Some(label) = roles[index].aggregates.clone() else { continue };
            let collected: Vec<Rule> = roles
                .iter()
                .filter(|role| role.labels.get(&label).is_some_and(|value| value == "true"))
                .flat_map(|role| role.rules.iter().cloned())
                .collect();
            for rule in collected {
                if !roles[index].rules.contains(&rule) {
                    roles[index].rules.push(rule);
                    has_grown = true;
                }
            }
        }
        if !has_grown {
            return;
        }
    }
}
