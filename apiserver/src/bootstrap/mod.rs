//! What a new cluster needs before anybody asks: namespaces, API services, the `kubernetes` Service, RBAC, priority
//! classes.
//!
//! Each object is made only when it is missing; losing a race against another apiserver is fine. RBAC objects that
//! exist are given back what was taken from them, as the stock server does at start.

mod api_services;
mod cluster_info;
mod kubernetes_service;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::authz::bootstrap as rbac;
use crate::error::ApiError;
use crate::kinds;
use crate::limits;
use crate::pipeline::{Api, Target, Writer};
use crate::verbs::{create, update};

pub struct Facts {
    /// ClusterIP of the `kubernetes` Service.
    pub service_address: IpAddr,
    /// Where clients reach this server.
    pub advertised: SocketAddr,
    /// Where ClusterIPs come from.
    pub service_range: IpNet,
    /// The certificates that client certificates must end in.
    pub client_ca_pem: String,
}

/// Tries until it has succeeded once.
pub async fn run(api: &Api, facts: &Facts) {
    loop {
        match make_all(api, facts).await {
            Ok(()) => return api.set_bootstrapped(),
            Err(error) => {
                tracing::warn!(%error, "bootstrap objects are not complete yet; trying again");
                tokio::time::sleep(limits::RECONNECT_DELAY).await;
            }
        }
    }
}

/// Goes on for as long as this server lives.
pub async fn keep(api: &Api, facts: &Facts, shutdown: &CancellationToken) {
    kubernetes_service::keep(api, facts, shutdown).await;
}

async fn make_all(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    for name in ["kube-system", "kube-public", "kube-node-lease", "default"] {
        ensure(api, &target("", "v1", "namespaces", "", name)?, namespace(name)).await?;
    }
    api_services::ensure_all(api).await?;
    kubernetes_service::ensure_all(api, facts).await?;
    cluster_info::ensure_all(api, facts).await?;
    for class in priority_classes() {
        let name = class["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        ensure(api, &target("scheduling.k8s.io", "v1", "priorityclasses", "", &name)?, class).await?;
    }
    for object in rbac::objects() {
        let place =
            target("rbac.authorization.k8s.io", "v1", object.plural, &object.namespace, &object.name)?;
        ensure_rbac(api, &place, object.object).await?;
    }
    Ok(())
}

fn target(group: &str, version: &str, plural: &str, namespace: &str, name: &str) -> Result<Target, ApiError> {
    let kind = kinds::lookup(group, version, plural).ok_or_else(ApiError::unknown_resource)?;
    let target = Target { kind, namespace: String::new(), name: String::new(), subresource: String::new() };
    Ok(target.named(namespace, name))
}

/// Creates what is missing; true if it did.
async fn ensure(api: &Api, target: &Target, object: Value) -> Result<bool, ApiError> {
    if api.guess(target).await?.is_some() {
        return Ok(false);
    }
    match create::create(api, target, &Writer::apiserver(), object).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn ensure_rbac(api: &Api, target: &Target, wanted: Value) -> Result<(), ApiError> {
    let Some(existing) = api.guess(target).await? else {
        return ensure(api, target, wanted).await.map(drop);
    };
    let Some(repaired) = rbac::reconciled(&existing.value(), &wanted) else { return Ok(()) };
    match update::update(api, target, &Writer::apiserver(), repaired).await {
        Ok(_) => Ok(()),
        // Somebody changed it at the same time; his change stands until the next start.
        Err(error) if error.is_conflict() || error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// Names and values that the kubelet and the scheduler know.
fn priority_classes() -> Vec<Value> {
    let class = |name: &str, value: i64, description: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name },
            "value": value, "description": description,
        })
    };
    vec![
        class(
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        class(
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ]
}
