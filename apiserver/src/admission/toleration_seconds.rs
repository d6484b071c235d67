//! DefaultTolerationSeconds: pods stay for a while on a node that is not ready or cannot be reached.

use serde_json::{Value, json};

use super::{AdmissionContext, Operation};
use crate::kinds::walk::{child, items, set, text};

/// Five minutes, the stock value.
const SECONDS: i64 = 300;
const TAINTS: &[&str] = &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(super) fn admit(ctx: &AdmissionContext<'_>, pod: &mut Value) {
    let writes = matches!(ctx.operation, Operation::Create | Operation::Update);
    if !writes || !ctx.is("", "pods") || !ctx.subresource.is_empty() {
        return;
    }
    let mut tolerations = items(pod, "/spec/tolerations").to_vec();
    let missing: Vec<Value> = TAINTS
        .iter()
        .filter(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
        .map(|taint| json!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}))
        .collect();
    if !missing.is_empty() {
        tolerations.extend(missing);
        set(child(pod, "spec"), "tolerations", tolerations);
    }
}

/// The client has said something about the taint, whatever it is.
fn tolerates(toleration: &Value, taint: &str) -> bool {
    let key = text(toleration, "/key");
    let effect = text(toleration, "/effect");
    (key.is_empty() || key == taint) && matches!(effect, "" | "NoExecute")
}
