//! A container's environment: services, then envFrom, then env, each able to override what came before.

use std::collections::BTreeMap;

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod, Service};

use super::expand::expand;
use super::{downward, facts};
use crate::api_link::ApiLink;

/// Why a container cannot be configured; the text of its waiting state.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey { kind: &'static str, namespace: String, name: String, key: String },
    #[error(transparent)]
    Downward(#[from] downward::Error),
    #[error("env variable {name}: {source_name} is not supported by this node agent")]
    Unsupported { name: String, source_name: &'static str },
}

pub struct EnvInput<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub facts: &'a downward::NodeFacts,
    pub pod_ips: &'a [String],
}

pub async fn environment(
    link: &dyn ApiLink,
    input: &EnvInput<'_>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut variables = BTreeMap::new();
    let links = facts::spec(input.pod).enable_service_links != Some(false);
    for service in link.services(facts::namespace(input.pod)).await {
        let is_apiserver = service.metadata.name.as_deref() == Some("kubernetes")
            && service.metadata.namespace.as_deref() == Some("default");
        if links || is_apiserver {
            variables.extend(service_variables(&service));
        }
    }
    env_from(link, input, &mut variables).await?;
    for variable in input.container.env.iter().flatten() {
        if let Some(value) = value(link, input, variable, &variables).await? {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

async fn env_from(
    link: &dyn ApiLink,
    input: &EnvInput<'_>,
    variables: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    let namespace = facts::namespace(input.pod);
    for source in input.container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut add = |key: &String, value: String| drop(variables.insert(format!("{prefix}{key}"), value));
        if let Some(reference) = &source.config_map_ref {
            match link.config_map(&ObjectKey::new(namespace, &reference.name)).await {
                Some(map) => map.data.iter().flatten().for_each(|(k, v)| add(k, v.clone())),
                None if reference.optional == Some(true) => {}
                None => return Err(not_found("configmap", &reference.name)),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match link.secret(&ObjectKey::new(namespace, &reference.name)).await {
                Some(secret) => {
                    secret.data.iter().flatten().for_each(|(k, v)| add(k, text(&v.0)));
                }
                None if reference.optional == Some(true) => {}
                None => return Err(not_found("secret", &reference.name)),
            }
        }
    }
    Ok(())
}

fn not_found(kind: &'static str, name: &str) -> Error {
    Error::NotFound { kind, name: name.to_owned() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `None`: an optional source that is not there leaves the variable out.
async fn value(
    link: &dyn ApiLink,
    input: &EnvInput<'_>,
    variable: &EnvVar,
    known: &BTreeMap<String, String>,
) -> Result<Option<String>, Error> {
    match &variable.value_from {
        None => Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), known))),
        Some(source) => from_source(link, input, &variable.name, source).await,
    }
}

async fn from_source(
    link: &dyn ApiLink,
    input: &EnvInput<'_>,
    variable: &str,
    source: &EnvVarSource,
) -> Result<Option<String>, Error> {
    let namespace = facts::namespace(input.pod);
    let no_key = |kind: &'static str, name: &str, key: &str| Error::NoKey {
        kind: if kind == "configmap" { "ConfigMap" } else { "Secret" },
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        key: key.to_owned(),
    };
    if let Some(field) = &source.field_ref {
        let value = downward::field(input.pod, &field.field_path, input.facts, input.pod_ips)?;
        return Ok(Some(value));
    }
    if let Some(resource) = &source.resource_field_ref {
        let value = downward::resource(input.pod, &input.container.name, resource, input.facts)?;
        return Ok(Some(value));
    }
    if let Some(from) = &source.config_map_key_ref {
        let map = link.config_map(&ObjectKey::new(namespace, &from.name)).await;
        let value = map.as_ref().and_then(|map| map.data.as_ref()?.get(&from.key).cloned());
        return match (value, map, from.optional == Some(true)) {
            (Some(value), _, _) => Ok(Some(value)),
            (None, _, true) => Ok(None),
            (None, None, false) => Err(not_found("configmap", &from.name)),
            (None, Some(_), false) => Err(no_key("configmap", &from.name, &from.key)),
        };
    }
    if let Some(from) = &source.secret_key_ref {
        let secret = link.secret(&ObjectKey::new(namespace, &from.name)).await;
        let value =
            secret.as_ref().and_then(|secret| secret.data.as_ref()?.get(&from.key).map(|v| text(&v.0)));
        return match (value, secret, from.optional == Some(true)) {
            (Some(value), _, _) => Ok(Some(value)),
            (None, _, true) => Ok(None),
            (None, None, false) => Err(not_found("secret", &from.name)),
            (None, Some(_), false) => Err(no_key("secret", &from.name, &from.key)),
        };
    }
    Err(Error::Unsupported { name: variable.to_owned(), source_name: "fileKeyRef" })
}

/// The variables of Docker links, which Kubernetes keeps: `REDIS_SERVICE_HOST`, `REDIS_PORT_6379_TCP_ADDR`, …
fn service_variables(service: &Service) -> Vec<(String, String)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let address = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let (Some(first), false) = (ports.first(), matches!(address, "" | "None")) else { return Vec::new() };
    let screaming = |name: &str| name.to_uppercase().replace('-', "_");
    let name = screaming(service.metadata.name.as_deref().unwrap_or_default());
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let mut variables = vec![
        (format!("{name}_SERVICE_HOST"), address.to_owned()),
        (format!("{name}_SERVICE_PORT"), first.port.to_string()),
    ];
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            variables.push((format!("{name}_SERVICE_PORT_{}", screaming(port_name)), port.port.to_string()));
        }
    }
    for (at, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
        if at == 0 {
            variables.push((format!("{name}_PORT"), url.clone()));
        }
        let prefix = format!("{name}_PORT_{}_{}", port.port, protocol.to_uppercase());
        variables.push((format!("{prefix}_PROTO"), protocol.to_lowercase()));
        variables.push((format!("{prefix}_PORT"), port.port.to_string()));
        variables.push((format!("{prefix}_ADDR"), address.to_owned()));
        variables.push((prefix, url));
    }
    variables
}
