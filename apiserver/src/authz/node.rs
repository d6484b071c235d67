//! The Node authorizer: a kubelet reads what its own pods refer to and writes what is its own.
//!
//! `system:node:<name>` in group `system:nodes`. Objects that carry secrets go through the graph; the rest is a
//! fixed rule list. That a node changes only its own Node and pods is for admission (NodeRestriction), which
//! sees the objects. Source: k8s.io/kubernetes `plugin/pkg/auth/authorizer/node` (behaviour and texts).

use std::sync::LazyLock;

use serde_json::Value;

use super::node_graph::Target;
use super::{Authorizer, Rule, bootstrap};
use crate::kinds;
use crate::request::{RequestInfo, User};

const NODE_USER_PREFIX: &str = "system:node:";
const NODE_GROUP: &str = "system:nodes";
const LEASE_NAMESPACE: &str = "kube-node-lease";

static NODE_RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| bootstrap::rules_of_cluster_role("system:node"));

/// The node behind a user, if it is one.
pub fn name_of(user: &User) -> Option<&str> {
    let name = user.name.strip_prefix(NODE_USER_PREFIX)?;
    user.in_group(NODE_GROUP).then_some(name)
}

/// `Err` holds the reason, empty where the authorizer just has no opinion.
pub fn check(authorizer: &Authorizer, node: &str, request: &RequestInfo) -> Result<(), String> {
    if node.is_empty() {
        return Err(format!("unknown node for user {:?}", format!("{NODE_USER_PREFIX}{node}")));
    }
    if request.is_resource_request {
        match (request.api_group.as_str(), request.resource.as_str()) {
            ("", "secrets") => return read_only(authorizer, node, Target::Secret, request),
            ("", "configmaps") => return read_only(authorizer, node, Target::ConfigMap, request),
            ("", "persistentvolumeclaims") if request.subresource == "status" => {
                return status_update(authorizer, node, request);
            }
            ("", "persistentvolumeclaims") => return get_one(authorizer, node, Target::Claim, request),
            ("", "persistentvolumes") => return get_volume(authorizer, node, request),
            ("resource.k8s.io", "resourceclaims") => {
                return get_one(authorizer, node, Target::ResourceClaim, request);
            }
            ("storage.k8s.io", "volumeattachments") => return get_attachment(authorizer, node, request),
            ("", "serviceaccounts") => return create_token(authorizer, node, request),
            ("coordination.k8s.io", "leases") => return own_lease(node, request),
            ("storage.k8s.io", "csinodes") => return own_csi_node(node, request),
            _ => {}
        }
    }
    if NODE_RULES.iter().any(|rule| rule.allows(request)) { Ok(()) } else { Err(String::new()) }
}

fn no_relation(node: &str) -> String {
    format!("no relationship found between node '{node}' and this object")
}

fn reached(
    authorizer: &Authorizer,
    node: &str,
    target: Target,
    namespace: &str,
    name: &str,
) -> Result<(), String> {
    let found = authorizer
        .index
        .node_graph(authorizer.reader.as_ref(), |graph| graph.reaches(node, target, namespace, name));
    if found { Ok(()) } else { Err(no_relation(node)) }
}

/// get, list and watch of one object by name.
fn read_only(
    authorizer: &Authorizer,
    node: &str,
    target: Target,
    request: &RequestInfo,
) -> Result<(), String> {
    if !matches!(request.verb.as_str(), "get" | "list" | "watch") {
        return Err("can only read resources of this type".into());
    }
    named(authorizer, node, target, request)
}

fn get_one(authorizer: &Authorizer, node: &str, target: Target, request: &RequestInfo) -> Result<(), String> {
    if request.verb != "get" {
        return Err("can only get individual resources of this type".into());
    }
    named(authorizer, node, target, request)
}

fn named(authorizer: &Authorizer, node: &str, target: Target, request: &RequestInfo) -> Result<(), String> {
    if !request.subresource.is_empty() {
        return Err("cannot read subresource".into());
    }
    if request.name.is_empty() {
        return Err("No Object name found".into());
    }
    reached(authorizer, node, target, &request.namespace, &request.name)
}

fn status_update(authorizer: &Authorizer, node: &str, request: &RequestInfo) -> Result<(), String> {
    if !matches!(request.verb.as_str(), "update" | "patch") || request.name.is_empty() {
        return Err("can only update individual resources of this type".into());
    }
    reached(authorizer, node, Target::Claim, &request.namespace, &request.name)
}

fn get_volume(authorizer: &Authorizer, node: &str, request: &RequestInfo) -> Result<(), String> {
    if request.verb != "get" || request.name.is_empty() {
        return Err("can only get individual resources of this type".into());
    }
    let Some(volume) = read(authorizer, "", "persistentvolumes", &request.name) else {
        return Err(no_relation(node));
    };
    let claim = &volume["spec"]["claimRef"];
    let text = |field: &str| claim[field].as_str().unwrap_or_default();
    reached(authorizer, node, Target::Claim, text("namespace"), text("name"))
}

fn get_attachment(authorizer: &Authorizer, node: &str, request: &RequestInfo) -> Result<(), String> {
    if request.verb != "get" || request.name.is_empty() {
        return Err("can only get individual resources of this type".into());
    }
    match read(authorizer, "storage.k8s.io", "volumeattachments", &request.name) {
        Some(attachment) if attachment["spec"]["nodeName"] == node => Ok(()),
        _ => Err(no_relation(node)),
    }
}

fn create_token(authorizer: &Authorizer, node: &str, request: &RequestInfo) -> Result<(), String> {
    if request.verb == "get" && request.subresource.is_empty() && !request.name.is_empty() {
        // Credential providers for image pulls read the service accounts of the node's pods.
        return reached(authorizer, node, Target::ServiceAccount, &request.namespace, &request.name);
    }
    if request.verb != "create" || request.subresource != "token" {
        return Err("can only create tokens for individual service accounts".into());
    }
    if request.name.is_empty() {
        return Err("can only create tokens for individual service accounts".into());
    }
    reached(authorizer, node, Target::ServiceAccount, &request.namespace, &request.name)
}

fn own_lease(node: &str, request: &RequestInfo) -> Result<(), String> {
    if !matches!(request.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
        return Err("can only get, create, update, patch, or delete a node lease".into());
    }
    if request.namespace != LEASE_NAMESPACE {
        return Err(format!("can only access leases in the {LEASE_NAMESPACE:?} system namespace"));
    }
    // The name of a new lease is in its body: admission checks it.
    if request.verb != "create" && request.name != node {
        return Err("can only access node lease with the same name as the requesting node".into());
    }
    Ok(())
}

fn own_csi_node(node: &str, request: &RequestInfo) -> Result<(), String> {
    if !matches!(request.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
        return Err("can only get, create, update, patch, or delete a CSINode".into());
    }
    if !request.subresource.is_empty() {
        return Err("cannot authorize CSINode subresources".into());
    }
    if request.verb != "create" && request.name != node {
        return Err("can only access CSINode with the same name as the requesting node".into());
    }
    Ok(())
}

/// A cluster-scoped object.
fn read(authorizer: &Authorizer, group: &str, plural: &str, name: &str) -> Option<Value> {
    let kind = kinds::lookup(group, "v1", plural)?;
    Some(authorizer.reader.get(kind, "", name)?.value())
}
