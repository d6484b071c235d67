//! Nobody grants what he does not hold: the check on writes of roles and bindings.
//!
//! A role may only contain rules that its writer holds, unless he may `escalate` it. A binding may only refer to
//! a role whose rules its writer holds, unless he may `bind` it. An aggregated ClusterRole gets its rules from
//! others, so declaring one needs `*` on everything, as in stock.
//! Source: k8s.io/kubernetes `pkg/registry/rbac` (behaviour and texts).

use std::collections::BTreeMap;

use serde_json::Value;
use smol_str::SmolStr;

use super::rule::{ALL, quoted_list};
use super::{Authorizer, Rule};
use crate::error::{ApiError, GroupResource};
use crate::request::{GROUP_MASTERS, RequestInfo, User};

const GROUP: &str = "rbac.authorization.k8s.io";

/// For creates and updates of the four RBAC kinds; every other request passes. `old` is the stored object.
pub fn check_escalation(
    authorizer: &Authorizer,
    user: &User,
    request: &RequestInfo,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let is_write = matches!(request.verb.as_str(), "create" | "update" | "patch");
    if request.api_group != GROUP || !is_write || user.in_group(GROUP_MASTERS) {
        return Ok(());
    }
    match request.resource.as_str() {
        "roles" | "clusterroles" => check_role(authorizer, user, request, new, old),
        "rolebindings" | "clusterrolebindings" => check_binding(authorizer, user, request, new, old),
        _ => Ok(()),
    }
}

fn check_role(
    authorizer: &Authorizer,
    user: &User,
    request: &RequestInfo,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let unchanged = old
        .is_some_and(|old| old["rules"] == new["rules"] && old["aggregationRule"] == new["aggregationRule"]);
    let name = name_of(request, new);
    if unchanged || may(authorizer, user, request, "escalate", &request.resource, name) {
        return Ok(());
    }
    let mut rules = Rule::list(new);
    if new["aggregationRule"].is_object() {
        rules.extend(everything());
    }
    require_held(authorizer, user, request, name, &rules)
}

fn check_binding(
    authorizer: &Authorizer,
    user: &User,
    request: &RequestInfo,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let unchanged =
        old.is_some_and(|old| old["roleRef"] == new["roleRef"] && old["subjects"] == new["subjects"]);
    let is_cluster = new["roleRef"]["kind"] == "ClusterRole";
    let role = new["roleRef"]["name"].as_str().unwrap_or_default();
    let resource = if is_cluster { "clusterroles" } else { "roles" };
    if unchanged || may(authorizer, user, request, "bind", resource, role) {
        return Ok(());
    }
    let name = name_of(request, new);
    let rules = authorizer
        .index
        .rbac(authorizer.reader.as_ref(), |rbac| rbac.rules_of_role(&request.namespace, is_cluster, role));
    match rules {
        Some(rules) => require_held(authorizer, user, request, name, &rules),
        None => {
            let kind = if is_cluster { "clusterrole" } else { "role" };
            Err(ApiError::not_found(&GroupResource::new(GROUP, kind), role))
        }
    }
}

fn may(
    authorizer: &Authorizer,
    user: &User,
    request: &RequestInfo,
    verb: &str,
    resource: &str,
    name: &str,
) -> bool {
    let asked = RequestInfo {
        is_resource_request: true,
        verb: verb.to_owned(),
        api_group: GROUP.to_owned(),
        api_version: request.api_version.clone(),
        namespace: request.namespace.clone(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        ..RequestInfo::default()
    };
    authorizer.authorize(user, &asked).allowed
}

fn require_held(
    authorizer: &Authorizer,
    user: &User,
    request: &RequestInfo,
    name: &str,
    wanted: &[Rule],
) -> Result<(), ApiError> {
    let (held, errors) = authorizer.held_rules(user, &request.namespace);
    let missing: Vec<Rule> = wanted
        .iter()
        .flat_map(Rule::split)
        .filter(|want| !held.iter().any(|have| have.covers(want)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted_list(&user.groups),
        compact(missing).join("\n")
    );
    if !errors.is_empty() {
        why.push_str(&format!("; resolution errors: [{}]", errors.join(", ")));
    }
    Err(ApiError::forbidden(&request.group_resource(), name, &why))
}

/// Joins the verbs of rules that are otherwise equal; sorted, so that texts are stable.
fn compact(missing: Vec<Rule>) -> Vec<String> {
    let mut verbs: BTreeMap<String, (Rule, Vec<SmolStr>)> = BTreeMap::new();
    for mut rule in missing {
        let mut own = std::mem::take(&mut rule.verbs);
        let entry = verbs.entry(rule.compact_text()).or_insert_with(|| (rule, Vec::new()));
        own.retain(|verb| !entry.1.contains(verb));
        entry.1.append(&mut own);
    }
    verbs.into_values().map(|(rule, verbs)| Rule { verbs, ..rule }.compact_text()).collect()
}

fn everything() -> [Rule; 2] {
    let all = || vec![SmolStr::from(ALL)];
    [
        Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() },
        Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() },
    ]
}

fn name_of<'a>(request: &'a RequestInfo, object: &'a Value) -> &'a str {
    if request.name.is_empty() {
        object["metadata"]["name"].as_str().unwrap_or_default()
    } else {
        &request.name
    }
}
