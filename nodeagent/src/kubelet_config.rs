//! `KubeletConfiguration` (kubelet.config.k8s.io/v1beta1): the fields that act here.
//!
//! A field that asks for what we do anyway, or is set to "default" (zero, empty), passes. Any other field is an error
//! that names it: an operator must not believe in a setting that does nothing.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use balsa_proto::meta::Quantity;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::read;
use crate::config::{Config, RuntimeChoice};
use crate::error::Error;
use crate::node::thresholds::Thresholds;

pub fn apply(path: &Path, config: &mut Config) -> Result<(), Error> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    let failed = |message: String| Error::Parse { path: path.to_path_buf(), message };
    let document: Value = serde_saphyr::from_str(&text).map_err(|error| failed(error.to_string()))?;
    apply_document(&document, config).map_err(failed)
}

fn apply_document(document: &Value, config: &mut Config) -> Result<(), String> {
    let fields = document.as_object().ok_or("not a KubeletConfiguration")?;
    if fields.get("kind").and_then(Value::as_str) != Some("KubeletConfiguration") {
        return Err("kind must be KubeletConfiguration".to_owned());
    }
    for (name, value) in fields {
        apply_field(name, value, config)?;
    }
    Ok(())
}

fn typed<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| format!("field {name}: {error}"))
}

fn apply_field(name: &str, value: &Value, config: &mut Config) -> Result<(), String> {
    match name {
        "apiVersion" | "kind" => {}
        "staticPodPath" => config.static_pod_dir = non_empty(typed(name, value)?).map(PathBuf::from),
        "address" => {
            let address: IpAddr = typed(name, value)?;
            config.listen = SocketAddr::new(address, config.listen.port());
        }
        "port" => config.listen.set_port(typed(name, value)?),
        "tlsCertFile" | "tlsPrivateKeyFile" => {
            let content =
                read(Path::new(&typed::<String>(name, value)?)).map_err(|error| error.to_string())?;
            let pair = config.serving_pem.get_or_insert_default();
            if name == "tlsCertFile" { pair.0 = content } else { pair.1 = content }
        }
        "authentication" => apply_authentication(value, config)?,
        "authorization" => apply_authorization(value)?,
        "clusterDNS" => config.cluster_dns = typed(name, value)?,
        "clusterDomain" => config.cluster_domain = typed(name, value)?,
        "resolvConf" => config.resolv_conf = PathBuf::from(typed::<String>(name, value)?),
        "maxPods" => config.max_pods = typed(name, value)?,
        "podLogsDir" => config.pod_logs_dir = PathBuf::from(typed::<String>(name, value)?),
        "registerNode" => config.register_node = typed(name, value)?,
        "registerWithTaints" => config.taints = typed(name, value)?,
        "cpuCFSQuota" => config.enforces_cpu_quota = typed(name, value)?,
        "containerLogMaxSize" => config.log_rotation.max_bytes = bytes(name, value)?,
        "containerLogMaxFiles" => config.log_rotation.max_files = typed(name, value)?,
        "containerRuntimeEndpoint" => {
            if let Some(socket) = non_empty(typed(name, value)?) {
                config.runtime = RuntimeChoice::Endpoint(PathBuf::from(socket));
            }
        }
        "evictionHard" if !is_default(value) => {
            let thresholds = Thresholds::from_signals(&typed(name, value)?);
            config.thresholds = thresholds.map_err(|error| format!("field {name}: {error}"))?;
        }
        "kubeReserved" | "systemReserved" => reserve(name, value, config)?,
        "cgroupDriver" if value == "cgroupfs" => {}
        "failSwapOn" if value == false => {}
        "enforceNodeAllocatable" if value == &serde_json::json!(["none"]) => {}
        _ if is_default(value) => {}
        _ => {
            return Err(format!(
                "field {name} is not supported by this node agent; remove it or set it to its zero value"
            ));
        }
    }
    Ok(())
}

fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// kubeadm writes every duration as `0s` to mean the default.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.as_str(), "" | "0s" | "0"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_default),
    }
}

fn bytes(name: &str, value: &Value) -> Result<u64, String> {
    let text: String = typed(name, value)?;
    let quantity = Quantity::parse(&text).map_err(|error| format!("field {name}: {error}"))?;
    u64::try_from(quantity.value()).map_err(|error| format!("field {name}: {error}"))
}

fn reserve(name: &str, value: &Value, config: &mut Config) -> Result<(), String> {
    for (resource, amount) in value.as_object().into_iter().flatten() {
        let text: String = typed(name, amount)?;
        let quantity = Quantity::parse(&text).map_err(|error| format!("field {name}.{resource}: {error}"))?;
        match resource.as_str() {
            "cpu" => config.reserved.cpu_millis += quantity.milli_value(),
            "memory" => config.reserved.memory_bytes += quantity.value(),
            "ephemeral-storage" => config.reserved.ephemeral_storage_bytes += quantity.value(),
            other => return Err(format!("field {name}.{other} is not supported by this node agent")),
        }
    }
    Ok(())
}

/// Certificates of the client CA are the one way in; anonymous access stays off and bearer tokens are refused.
fn apply_authentication(value: &Value, config: &mut Config) -> Result<(), String> {
    if value["anonymous"]["enabled"] == true {
        return Err(
            "authentication.anonymous.enabled: anonymous access to the node agent is not offered".to_owned()
        );
    }
    if let Some(path) = value["x509"]["clientCAFile"].as_str().filter(|path| !path.is_empty()) {
        config.client_ca_pem = Some(read(Path::new(path)).map_err(|error| error.to_string())?);
    }
    Ok(())
}

fn apply_authorization(value: &Value) -> Result<(), String> {
    match value["mode"].as_str() {
        None | Some("" | "Webhook") => Ok(()),
        Some(other) => Err(format!("authorization.mode {other} is not offered: only Webhook")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_fields_act_defaults_pass_and_the_rest_is_named() {
        let mut config = Config::in_data_dir(Path::new("/nowhere"));
        let document = serde_json::json!({
            "kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "clusterDNS": ["10.96.0.10"], "maxPods": 42, "containerLogMaxSize": "1Mi",
            "kubeReserved": { "cpu": "100m" }, "systemReserved": { "cpu": "150m" },
            "syncFrequency": "0s", "memorySwap": {}, "cgroupDriver": "cgroupfs",
        });
        apply_document(&document, &mut config).unwrap();
        assert_eq!(config.cluster_dns, ["10.96.0.10".parse::<IpAddr>().unwrap()]);
        assert_eq!((config.max_pods, config.log_rotation.max_bytes), (42, 1 << 20));
        assert_eq!(config.reserved.cpu_millis, 250);

        let strange = serde_json::json!({ "kind": "KubeletConfiguration", "cgroupDriver": "systemd" });
        assert!(apply_document(&strange, &mut config).unwrap_err().contains("cgroupDriver"));
    }
}
