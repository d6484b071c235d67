//! The answer to an apply that would take fields from others: 409 with a cause per field.

use super::Operation;
use super::entries::Id;
use super::ownership::Conflicts;
use super::path;
use crate::error::{ApiError, StatusCause};

pub(super) fn error(conflicts: &Conflicts) -> ApiError {
    let flat: Vec<(String, String)> = conflicts
        .iter()
        .flat_map(|(id, set)| set.paths().into_iter().map(|path| (describe(id), path::display(&path))))
        .collect();
    let causes = flat.iter().map(|(manager, path)| StatusCause {
        reason: "FieldManagerConflict".into(),
        message: format!("conflict with {manager}"),
        field: path.clone(),
    });
    ApiError::apply_conflict(message(conflicts, &flat), causes.collect())
}

fn message(conflicts: &Conflicts, flat: &[(String, String)]) -> String {
    if let [(manager, path)] = flat {
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut lines = Vec::new();
    for (id, set) in conflicts {
        lines.push(format!("conflicts with {}:", describe(id)));
        lines.extend(set.paths().iter().map(|path| format!("- {}", path::display(path))));
    }
    format!("Apply failed with {} conflicts: {}", flat.len(), lines.join("\n"))
}

/// `"kubectl" with subresource "scale" using apps/v1`
fn describe(id: &Id) -> String {
    let mut text = format!("{:?}", id.manager);
    if !id.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", id.subresource));
    }
    if id.operation == Operation::Update {
        text.push_str(&format!(" using {}", id.api_version));
    }
    text
}
