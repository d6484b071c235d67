//! Where a request goes: the kubelet of a pod's node and the path it serves, or an address of a pod or service.

use serde_json::Value;

use crate::error::ApiError;
use crate::http::query::{Query, encode};
use crate::kinds;
use crate::pipeline::{Api, Target};
use crate::request::RequestInfo;

/// The kubelet's port when its node does not say.
const KUBELET_PORT: u64 = 10250;
/// Which container an unnamed one is.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// TLS with our kubelet client certificate.
    Kubelet,
    Http,
}

#[derive(Debug, Clone)]
pub struct Upstream {
    pub scheme: Scheme,
    pub host: String,
    pub port: u16,
    pub path_and_query: String,
}

/// None while the pod has no node.
pub async fn log(api: &Api, target: &Target, query: &Query) -> Result<Option<Upstream>, ApiError> {
    let pod = api.read(target).await?.value();
    let container = container_of(target, &pod, query.text("container"))?;
    let Some(node) = node_of(&pod) else { return Ok(None) };
    let options = query
        .pairs()
        .filter(|(name, _)| !matches!(*name, "container" | "insecureSkipTLSVerifyBackend" | "pretty"))
        .map(|(name, value)| format!("{name}={}", encode(value)));
    let path = format!("/containerLogs/{}/{}/{container}", target.namespace, target.name);
    kubelet(api, node, with_query(path, options.collect())).map(Some)
}

/// exec and attach; the kubelet's words for the streams differ from ours.
pub async fn exec(api: &Api, target: &Target, query: &Query, verb: &str) -> Result<Upstream, ApiError> {
    let pod = api.read(target).await?.value();
    let container = container_of(target, &pod, query.text("container"))?;
    let node = node_of(&pod).ok_or_else(|| no_host(target))?;
    let mut options = Vec::new();
    for (ours, theirs) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if query.flag(ours) {
            options.push(format!("{theirs}=1"));
        }
    }
    options.extend(query.all("command").map(|word| format!("command={}", encode(word))));
    let path = format!("/{verb}/{}/{}/{container}", target.namespace, target.name);
    kubelet(api, node, with_query(path, options))
}

pub async fn port_forward(api: &Api, target: &Target, query: &Query) -> Result<Upstream, ApiError> {
    let pod = api.read(target).await?.value();
    let node = node_of(&pod).ok_or_else(|| no_host(target))?;
    let ports = query.all("ports").map(|port| format!("port={}", encode(port))).collect();
    kubelet(api, node, with_query(format!("/portForward/{}/{}", target.namespace, target.name), ports))
}

/// `pods/[http:]name[:port]/proxy/path`
pub async fn pod_proxy(
    api: &Api,
    target: &Target,
    info: &RequestInfo,
    query: Option<&str>,
) -> Result<Upstream, ApiError> {
    let (name, port) = plain_name(&target.name)?;
    let pod = api.read(&target.named(&target.namespace, &name)).await?.value();
    let host = pod["status"]["podIP"].as_str().unwrap_or_default().to_owned();
    if host.is_empty() {
        return Err(ApiError::service_unavailable(format!("address not allowed: pod {name} has no address")));
    }
    let declared = pod["spec"]["containers"][0]["ports"][0]["containerPort"].as_u64().unwrap_or(80);
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(declared as u16);
    Ok(Upstream { scheme: Scheme::Http, host, port, path_and_query: rest(info, query) })
}

/// `services/[http:]name[:port]/proxy/path`, to a ready endpoint.
pub fn service_proxy(
    api: &Api,
    target: &Target,
    info: &RequestInfo,
    query: Option<&str>,
) -> Result<Upstream, ApiError> {
    use crate::cache::Reader;
    let (name, wanted) = plain_name(&target.name)?;
    let none = || ApiError::service_unavailable(format!("no endpoints available for service \"{name}\""));
    let kind = kinds::lookup("", "v1", "endpoints").ok_or_else(ApiError::unknown_resource)?;
    let endpoints = api.cache.get(kind, &target.namespace, &name).ok_or_else(none)?.value();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        let mut ports = subset["ports"].as_array().into_iter().flatten();
        let port = ports.find(|port| match &wanted {
            None => true,
            Some(wanted) => {
                port["name"] == wanted.as_str()
                    || port["port"].as_u64().is_some_and(|number| wanted.parse() == Ok(number))
            }
        });
        let host = subset["addresses"][0]["ip"].as_str();
        if let (Some(port), Some(host)) = (port.and_then(|port| port["port"].as_u64()), host) {
            let (host, port) = (host.to_owned(), port as u16);
            return Ok(Upstream { scheme: Scheme::Http, host, port, path_and_query: rest(info, query) });
        }
    }
    Err(none())
}

pub fn node_proxy(
    api: &Api,
    target: &Target,
    info: &RequestInfo,
    query: Option<&str>,
) -> Result<Upstream, ApiError> {
    kubelet(api, &target.name, rest(info, query))
}

fn rest(info: &RequestInfo, query: Option<&str>) -> String {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("/{}{query}", info.rest)
}

/// Splits `[scheme:]name[:port]`; only plain HTTP is proxied.
fn plain_name(name: &str) -> Result<(String, Option<String>), ApiError> {
    let parts: Vec<&str> = name.split(':').collect();
    let port = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match parts.as_slice() {
        [name] => Ok(((*name).to_owned(), None)),
        [name, text] => Ok(((*name).to_owned(), port(text))),
        ["http" | "", name, text] => Ok(((*name).to_owned(), port(text))),
        _ => Err(ApiError::bad_request(format!("invalid proxy target \"{name}\""))),
    }
}

fn kubelet(api: &Api, node: &str, path_and_query: String) -> Result<Upstream, ApiError> {
    use crate::cache::Reader;
    let kind = kinds::lookup("", "v1", "nodes").ok_or_else(ApiError::unknown_resource)?;
    let found = api.cache.get(kind, "", node);
    let node_value = found
        .ok_or_else(|| ApiError::not_found(&crate::error::GroupResource::new("", "nodes"), node))?
        .value();
    let status = &node_value["status"];
    let host = api
        .kubelets
        .preferred_addresses()
        .iter()
        .find_map(|wanted| address_of(status, wanted))
        .ok_or_else(|| ApiError::internal(format!("no preferred addresses found for node {node}")))?;
    let port = status["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64().unwrap_or(KUBELET_PORT) as u16;
    Ok(Upstream { scheme: Scheme::Kubelet, host, port, path_and_query })
}

fn address_of(status: &Value, wanted: &str) -> Option<String> {
    let mut addresses = status["addresses"].as_array()?.iter();
    let found = addresses.find(|address| address["type"] == wanted)?;
    found["address"].as_str().map(str::to_owned)
}

fn node_of(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty())
}

fn no_host(target: &Target) -> ApiError {
    ApiError::bad_request(format!("pod {} does not have a host assigned", target.name))
}

fn with_query(path: String, options: Vec<String>) -> String {
    if options.is_empty() { path } else { format!("{path}?{}", options.join("&")) }
}

/// The named container, checked; else the only one, or the one that the pod names as its default.
fn container_of(target: &Target, pod: &Value, named: &str) -> Result<String, ApiError> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
    };
    let (main, init, ephemeral) =
        (names("containers"), names("initContainers"), names("ephemeralContainers"));
    if !named.is_empty() {
        let known = [&main, &init, &ephemeral].into_iter().flatten().any(|name| name == named);
        let refuse =
            || ApiError::bad_request(format!("container {named} is not valid for pod {}", target.name));
        return if known { Ok(named.to_owned()) } else { Err(refuse()) };
    }
    let default = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str();
    match (main.as_slice(), default) {
        ([only], _) => Ok(only.clone()),
        (many, Some(default)) if many.iter().any(|name| name == default) => Ok(default.to_owned()),
        _ => {
            let mut text = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                target.name,
                main.join(" ")
            );
            if !init.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(ApiError::bad_request(text))
        }
    }
}
