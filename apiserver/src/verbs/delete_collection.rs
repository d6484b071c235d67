//! Delete collection: each selected object, one by one; those that others delete meanwhile are no error.

use std::sync::Arc;

use super::delete::{DeleteOptions, delete};
use super::list::{ListOptions, Listed, list};
use super::select::Selection;
use crate::error::ApiError;
use crate::pipeline::{Api, Target, Writer};

/// Returns what was selected, as the stock server does.
pub async fn delete_collection(
    api: &Api,
    target: &Target,
    writer: &Writer,
    selection: &Selection,
    options: &DeleteOptions,
) -> Result<Listed, ApiError> {
    let mut listed = list(api, target, selection, &ListOptions::default()).await?;
    for item in &mut listed.items {
        let one = target.named(&item.namespace, &item.name);
        match delete(api, &one, writer, options).await {
            Ok(deleted) => *item = Arc::clone(&deleted.object),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listed)
}
