//! Component statuses: looked at when asked for, never stored. The scheduler and the controllers are asked on
//! loopback, where the stock server looks for them too; the store is what this server itself is connected to.

use std::sync::Arc;

use serde_json::json;

use super::list::Listed;
use super::select::Selection;
use crate::cache::{CachedObject, encode};
use crate::error::ApiError;
use crate::pipeline::{Api, Target};
use crate::proxy::healthz;

/// Where the stock components serve their health.
const CONTROLLER_MANAGER_PORT: u16 = 10257;
const SCHEDULER_PORT: u16 = 10259;

const NAMES: [&str; 3] = ["controller-manager", "etcd-0", "scheduler"];

pub async fn get(api: &Api, target: &Target) -> Result<Arc<CachedObject>, ApiError> {
    if !NAMES.contains(&target.name.as_str()) {
        return Err(target.not_found());
    }
    status(api, target, &target.name).await
}

pub async fn list(api: &Api, target: &Target, selection: &Selection) -> Result<Listed, ApiError> {
    let [controllers, etcd, scheduler] = NAMES.map(|name| status(api, target, name));
    let (controllers, etcd, scheduler) = tokio::join!(controllers, etcd, scheduler);
    let all = [controllers?, etcd?, scheduler?];
    let items = all.into_iter().filter(|object| selection.matches(object)).collect();
    Ok(Listed { items, revision: 0, continue_token: String::new(), remaining: None })
}

async fn status(api: &Api, target: &Target, name: &str) -> Result<Arc<CachedObject>, ApiError> {
    let health = match name {
        "scheduler" => healthz(SCHEDULER_PORT).await,
        "controller-manager" => healthz(CONTROLLER_MANAGER_PORT).await,
        _ => api.store.check_health().await.map(|()| "ok".to_owned()).map_err(|error| error.to_string()),
    };
    let (status, message) = match health {
        Ok(text) => ("True", text),
        Err(why) => ("False", why),
    };
    let object = json!({
        "apiVersion": "v1", "kind": "ComponentStatus",
        "metadata": { "name": name, "creationTimestamp": null },
        "conditions": [{ "type": "Healthy", "status": status, "message": message }],
    });
    CachedObject::with_value(target.kind, &object, encode::stored(&object), 0)
        .map(Arc::new)
        .map_err(ApiError::internal)
}
