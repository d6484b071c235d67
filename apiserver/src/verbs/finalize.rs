//! `namespaces/finalize`: the namespace controller lets go. With the last finalizer the namespace goes.

use std::sync::Arc;

use serde_json::Value;

use crate::cache::CachedObject;
use crate::error::ApiError;
use crate::pipeline::change::{Aspect, Change, Ownership};
use crate::pipeline::{Api, Target, Writer, meta};

pub async fn finalize(
    api: &Api,
    target: &Target,
    writer: &Writer,
    namespace: &Value,
) -> Result<Arc<CachedObject>, ApiError> {
    let change = Change { target, writer, aspect: Aspect::Exact, ownership: Ownership::Track };
    let modify = |base: &CachedObject, old: &Value| {
        if let Some(version) = meta::resource_version(namespace)?
            && version != base.revision
        {
            return Err(ApiError::modified(&target.group_resource(), &target.name));
        }
        super::update::check_uid(target, namespace, base)?;
        let mut new = old.clone();
        match namespace["spec"].get("finalizers").filter(|list| list.is_array()) {
            Some(list) => new["spec"]["finalizers"] = list.clone(),
            None => drop(new["spec"].as_object_mut().map(|spec| spec.remove("finalizers"))),
        }
        Ok(new)
    };
    change.run(api, modify).await
}
