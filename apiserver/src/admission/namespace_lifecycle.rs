//! NamespaceLifecycle: nothing is made in a namespace that does not exist or is going away.

use std::time::Duration;

use super::{AdmissionContext, Operation, Patience};
use crate::error::{ApiError, GroupResource, StatusCause};

/// These hold the cluster together.
const IMMORTAL: &[&str] = &["default", "kube-public", "kube-system"];

/// A namespace made by the request before this one needs a moment to reach the cache.
const PATIENCE: Patience = Patience { attempts: 6, interval: Duration::from_millis(10) };

pub(super) async fn admit(ctx: &AdmissionContext<'_>) -> Result<(), ApiError> {
    if ctx.is("", "namespaces") {
        let refused = ctx.operation == Operation::Delete && IMMORTAL.contains(&ctx.name);
        return if refused { Err(ctx.forbidden("this namespace may not be deleted")) } else { Ok(()) };
    }
    let concerned = matches!(ctx.operation, Operation::Create | Operation::Update)
        && !ctx.namespace.is_empty()
        && !ctx.is("authorization.k8s.io", "localsubjectaccessreviews");
    if !concerned {
        return Ok(());
    }
    let Some(namespace) = ctx.wait_for("namespaces", "", ctx.namespace, PATIENCE).await else {
        return Err(ApiError::not_found(&GroupResource::new("", "namespaces"), ctx.namespace));
    };
    // Under a terminating namespace subresources still work: its pods must be able to end.
    if ctx.operation != Operation::Create || !ctx.subresource.is_empty() {
        return Ok(());
    }
    if namespace.value().pointer("/metadata/deletionTimestamp").is_none() {
        return Ok(());
    }
    let why =
        format!("unable to create new content in namespace {} because it is being terminated", ctx.namespace);
    let cause = StatusCause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {} is being terminated", ctx.namespace),
        field: "metadata.namespace".to_owned(),
    };
    Err(ctx.forbidden(&why).with_causes(vec![cause]))
}
