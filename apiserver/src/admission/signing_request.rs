//! Certificate signing requests carry who asked, as the server knows it.

use serde_json::{Value, json};

use super::{AdmissionContext, Operation};
use crate::kinds::walk::{child, remove, set};

pub(super) fn admit(ctx: &AdmissionContext<'_>, request: &mut Value) {
    let is_new = ctx.operation == Operation::Create && ctx.subresource.is_empty();
    if !is_new || !ctx.is("certificates.k8s.io", "certificatesigningrequests") {
        return;
    }
    let spec = child(request, "spec");
    set(spec, "username", ctx.user.name.as_str());
    set(spec, "groups", ctx.user.groups.clone());
    for (field, value) in [("uid", json!(ctx.user.uid)), ("extra", json!(ctx.user.extra))] {
        if value == json!("") || value == json!({}) {
            remove(spec, field);
        } else {
            set(spec, field, value);
        }
    }
}
