//! Leases: who leads, who is alive.

use serde_json::Value;

use super::Hooks;
use super::check::Errors;
use super::walk::int;
use crate::error::FieldError;

pub(super) const HOOKS: Hooks = Hooks { validate, ..Hooks::NONE };

fn validate(lease: &Value) -> Errors {
    let mut errors = Vec::new();
    if let Some(seconds) = int(lease, "/spec/leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    if let Some(count) = int(lease, "/spec/leaseTransitions").filter(|count| *count < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("spec.leaseTransitions", count, detail));
    }
    errors
}
