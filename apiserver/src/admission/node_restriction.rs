//! NodeRestriction: a node's agent writes only its own node, its own lease, and the pods bound to it.

use serde_json::Value;

use super::{AdmissionContext, Operation};
use crate::error::ApiError;
use crate::kinds::walk::{entries, text};

const NODE_USER: &str = "system:node:";
const NODES_GROUP: &str = "system:nodes";
const MIRROR: &str = "kubernetes.io/config.mirror";
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// Labels that only administrators set.
const RESTRICTED_LABELS: &str = "node-restriction.kubernetes.io/";

pub(super) fn admit(ctx: &AdmissionContext<'_>, object: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let Some(node) = ctx.user.name.strip_prefix(NODE_USER).filter(|_| ctx.user.in_group(NODES_GROUP)) else {
        return Ok(());
    };
    match (ctx.kind.group, ctx.kind.plural) {
        ("", "pods") => pod(ctx, node, object, old),
        ("", "nodes") => own_node(ctx, node, object, old),
        ("coordination.k8s.io", "leases") => lease(ctx, node),
        _ => Ok(()),
    }
}

fn refuse(ctx: &AdmissionContext<'_>, why: String) -> Result<(), ApiError> {
    Err(ctx.forbidden(&why))
}

fn pod(ctx: &AdmissionContext<'_>, node: &str, pod: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let is_mine = |pod: &Value| text(pod, "/spec/nodeName") == node;
    match (ctx.operation, ctx.subresource) {
        (Operation::Create, "") => new_pod(ctx, node, pod),
        (Operation::Delete, "") if !is_mine(old.unwrap_or(pod)) => {
            refuse(ctx, format!("node \"{node}\" can only delete pods with spec.nodeName set to itself"))
        }
        (Operation::Update, "status") if !is_mine(old.unwrap_or(pod)) => {
            let why = format!(
                "node \"{node}\" can only update pod status for pods with spec.nodeName set to itself"
            );
            refuse(ctx, why)
        }
        (Operation::Update, "status") => {
            let labels = |pod: Option<&Value>| pod.and_then(|pod| pod.pointer("/metadata/labels").cloned());
            if labels(Some(pod)) == labels(old) {
                return Ok(());
            }
            refuse(ctx, format!("node \"{node}\" cannot update labels through pod status"))
        }
        (Operation::Update, "") => refuse(
            ctx,
            format!(
                "unexpected operation \"UPDATE\", node \"{node}\" can only create and delete mirror pods"
            ),
        ),
        (Operation::Create | Operation::Update | Operation::Delete | Operation::Connect, _) => Ok(()),
    }
}

fn new_pod(ctx: &AdmissionContext<'_>, node: &str, pod: &Value) -> Result<(), ApiError> {
    if !entries(pod, "/metadata/annotations").any(|(key, _)| key == MIRROR) {
        let why =
            format!("pod does not have \"{MIRROR}\" annotation, node \"{node}\" can only create mirror pods");
        return refuse(ctx, why);
    }
    if text(pod, "/spec/nodeName") != node {
        return refuse(ctx, format!("node \"{node}\" can only create pods with spec.nodeName set to itself"));
    }
    Ok(())
}

fn own_node(
    ctx: &AdmissionContext<'_>,
    node: &str,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let name = match ctx.name {
        "" => text(object, "/metadata/name"),
        name => name,
    };
    if name != node {
        return refuse(ctx, format!("node \"{node}\" is not allowed to modify node \"{name}\""));
    }
    let changed: Vec<&String> = match ctx.operation {
        Operation::Create => restricted(object).map(|(key, _)| key).collect(),
        Operation::Update => {
            let before = old.unwrap_or(&Value::Null);
            let differs =
                |key: &str, value: &Value| restricted(before).all(|(k, v)| (k.as_str(), v) != (key, value));
            restricted(object).filter(|(key, value)| differs(key, value)).map(|(key, _)| key).collect()
        }
        Operation::Delete | Operation::Connect => Vec::new(),
    };
    if let Some(key) = changed.first() {
        return refuse(ctx, format!("is not allowed to modify labels: {key}"));
    }
    let taints = |node: &Value| node.pointer("/spec/taints").cloned();
    if ctx.operation == Operation::Update && old.is_some_and(|old| taints(old) != taints(object)) {
        return refuse(ctx, format!("node \"{node}\" is not allowed to modify taints"));
    }
    Ok(())
}

fn restricted(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    entries(node, "/metadata/labels").filter(|(key, _)| key.starts_with(RESTRICTED_LABELS))
}

fn lease(ctx: &AdmissionContext<'_>, node: &str) -> Result<(), ApiError> {
    if ctx.namespace != LEASE_NAMESPACE {
        return refuse(ctx, format!("can only access leases in the \"{LEASE_NAMESPACE}\" system namespace"));
    }
    if ctx.name != node {
        return refuse(
            ctx,
            "can only access node lease with the same name as the requesting node".to_owned(),
        );
    }
    Ok(())
}
