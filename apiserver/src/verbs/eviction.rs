//! `pods/eviction`: a delete that asks. Disruption budgets join here when their controller does.

use serde_json::Value;

use super::delete::{DeleteOptions, delete};
use crate::error::ApiError;
use crate::pipeline::{Api, Target, Writer, meta};

pub async fn evict(api: &Api, target: &Target, writer: &Writer, eviction: &Value) -> Result<(), ApiError> {
    let name = meta::text(eviction, "name");
    if !name.is_empty() && name != target.name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let options = match &eviction["deleteOptions"] {
        Value::Null => DeleteOptions::default(),
        options => serde_json::from_value(options.clone())
            .map_err(|error| ApiError::bad_request(format!("unable to decode delete options: {error}")))?,
    };
    let pod = Target { subresource: String::new(), ..target.clone() };
    delete(api, &pod, writer, &options).await.map(drop)
}
