//! The downward API: a pod's own fields and resources, for its environment and its volumes.

use balsa_proto::meta::Quantity;
use k8s_openapi::api::core::v1::{Pod, ResourceFieldSelector};

use super::facts;

/// What the node knows and a pod may ask for.
#[derive(Debug, Clone, Default)]
pub struct NodeFacts {
    pub node_name: String,
    pub host_ips: Vec<String>,
    /// The default of `limits.cpu` and `limits.memory`: what the node has for pods.
    pub allocatable_cpu_millis: i64,
    pub allocatable_memory_bytes: i64,
    pub allocatable_ephemeral_storage_bytes: i64,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("unsupported fieldPath: {0}")]
    UnsupportedField(String),
    #[error("container {0} not found")]
    NoContainer(String),
    #[error("unsupported container resource : {0}")]
    UnsupportedResource(String),
}

pub fn field(pod: &Pod, path: &str, node: &NodeFacts, pod_ips: &[String]) -> Result<String, Error> {
    let spec = facts::spec(pod);
    let host = facts::uses_host_network(pod);
    let ips = || if host { node.host_ips.clone() } else { pod_ips.to_vec() };
    Ok(match path {
        "metadata.name" => facts::name(pod).to_owned(),
        "metadata.namespace" => facts::namespace(pod).to_owned(),
        "metadata.uid" => pod.metadata.uid.clone().unwrap_or_default(),
        "metadata.labels" => lines(pod.metadata.labels.as_ref()),
        "metadata.annotations" => lines(pod.metadata.annotations.as_ref()),
        "spec.nodeName" => node.node_name.clone(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => node.host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => node.host_ips.join(","),
        "status.podIP" => ips().first().cloned().unwrap_or_default(),
        "status.podIPs" => ips().join(","),
        other => subscript(pod, other)?,
    })
}

/// `metadata.labels['app']`.
fn subscript(pod: &Pod, path: &str) -> Result<String, Error> {
    let unsupported = || Error::UnsupportedField(path.to_owned());
    let (map, rest) = path.split_once('[').ok_or_else(unsupported)?;
    let key = rest.strip_suffix(']').map(|key| key.trim_matches(['\'', '"'])).ok_or_else(unsupported)?;
    let map = match map {
        "metadata.labels" => pod.metadata.labels.as_ref(),
        "metadata.annotations" => pod.metadata.annotations.as_ref(),
        _ => return Err(unsupported()),
    };
    Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_default())
}

/// One `key="value"` per line, sorted, with Go's quoting.
fn lines(map: Option<&std::collections::BTreeMap<String, String>>) -> String {
    let quoted = map.into_iter().flatten().map(|(key, value)| format!("{key}={}", serde_json::json!(value)));
    quoted.collect::<Vec<_>>().join("\n")
}

pub fn resource(
    pod: &Pod,
    own_container: &str,
    selector: &ResourceFieldSelector,
    node: &NodeFacts,
) -> Result<String, Error> {
    let name = selector.container_name.as_deref().unwrap_or(own_container);
    let container = facts::find_container(pod, name).ok_or_else(|| Error::NoContainer(name.to_owned()))?;
    let resources = container.resources.as_ref();
    let unsupported = || Error::UnsupportedResource(selector.resource.clone());
    let (list, kind) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let default = match kind {
        "cpu" => Quantity::from_millis(node.allocatable_cpu_millis),
        "memory" => Quantity::from_bytes(node.allocatable_memory_bytes),
        "ephemeral-storage" => Quantity::from_bytes(node.allocatable_ephemeral_storage_bytes),
        _ => return Err(unsupported()),
    };
    let value = match list {
        "limits" => facts::limit(resources, kind).filter(|q| !q.is_zero()).unwrap_or(default),
        "requests" => {
            let requests = resources.and_then(|r| r.requests.as_ref());
            facts::quantity(requests, kind).unwrap_or(Quantity::ZERO)
        }
        _ => return Err(unsupported()),
    };
    let divisor = selector.divisor.as_ref().and_then(|raw| Quantity::parse(&raw.0).ok());
    let divisor = divisor.filter(|q| !q.is_zero());
    // Rounded up, as stock does.
    Ok(match kind {
        "cpu" => div_ceil(value.milli_value(), divisor.map_or(1000, |d| d.milli_value())).to_string(),
        _ => div_ceil(value.value(), divisor.map_or(1, |d| d.value())).to_string(),
    })
}

fn div_ceil(value: i64, divisor: i64) -> i64 {
    value / divisor.max(1) + i64::from(value % divisor.max(1) > 0)
}
