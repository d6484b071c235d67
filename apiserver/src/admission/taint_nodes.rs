//! TaintNodesByCondition: a new node takes no pods until a controller has seen it ready.

use serde_json::{Value, json};

use super::{AdmissionContext, Operation};
use crate::kinds::walk::{child, items, set, text};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) fn admit(ctx: &AdmissionContext<'_>, node: &mut Value) {
    if ctx.operation != Operation::Create || !ctx.is("", "nodes") || !ctx.subresource.is_empty() {
        return;
    }
    let mut taints = items(node, "/spec/taints").to_vec();
    let is_there = |taint: &Value| text(taint, "/key") == NOT_READY && text(taint, "/effect") == "NoSchedule";
    if taints.iter().any(is_there) {
        return;
    }
    taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    set(child(node, "spec"), "taints", taints);
}
