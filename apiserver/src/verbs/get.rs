//! Get: from the store when the answer must be current, from the cache when the client is content with less.

use std::sync::Arc;

use crate::cache::CachedObject;
use crate::error::ApiError;
use crate::pipeline::{Api, Target};

/// `resource_version`: None asks for the newest state, Some(n) for any state not older than n.
pub async fn get(
    api: &Api,
    target: &Target,
    resource_version: Option<u64>,
) -> Result<Arc<CachedObject>, ApiError> {
    if target.kind.plural == "componentstatuses" {
        return super::component_status::get(api, target).await;
    }
    let Some(at_least) = resource_version else { return api.read(target).await };
    let resource = api.cache.resource(target.kind).ok_or_else(ApiError::method_not_allowed)?;
    api.cache.wait_for(at_least).await?;
    resource.snapshot().get(&target.namespace, &target.name).ok_or_else(|| target.not_found())
}
