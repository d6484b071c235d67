//! The Service `kubernetes` in `default`, and the endpoints behind it: the addresses of all apiservers that live.
//!
//! Each server shows in the store that it lives ([`Store::show_presence`]) and writes the addresses of all that do, whenever
//! they are others than those written. One that dies is found out by the next that looks.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Facts, ensure, target};
use crate::error::{ApiError, GroupResource};
use crate::limits;
use crate::pipeline::change::{Aspect, Change, Ownership};
use crate::pipeline::{Api, Target, Writer};
#[cfg(doc)]
use crate::storage::Store;
use crate::storage::StoreError;

pub(super) async fn ensure_all(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    ensure(api, &target("", "v1", "services", "default", "kubernetes")?, service(facts)).await?;
    if facts.advertised.ip().is_loopback() {
        tracing::warn!("the advertised address is a loopback one: the Service kubernetes gets no endpoints");
        return Ok(());
    }
    reconcile(api, facts).await
}

/// Keeps this server among the endpoints, and those that died out of them; at shutdown takes this one out.
pub(super) async fn keep(api: &Api, facts: &Facts, shutdown: &CancellationToken) {
    if facts.advertised.ip().is_loopback() {
        return;
    }
    while shutdown.run_until_cancelled(tokio::time::sleep(limits::PRESENCE_INTERVAL)).await.is_some() {
        if let Err(error) = reconcile(api, facts).await {
            tracing::warn!(%error, "the endpoints of the Service kubernetes are not up to date");
        }
    }
    // The store may be gone already, as when a whole cluster stops: then the lease ends by itself.
    let leaving = tokio::time::timeout(LEAVE_TIMEOUT, leave(api, facts));
    if !matches!(leaving.await, Ok(Ok(()))) {
        tracing::debug!("this server stays an endpoint of the Service kubernetes until its lease ends");
    }
}

/// A shutdown waits no longer than this for its last write.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

async fn reconcile(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    let own = facts.advertised.ip().to_string();
    api.store.show_presence(&own, limits::PRESENCE_TTL).await.map_err(into_api)?;
    write_addresses(api, facts, &api.store.present().await.map_err(into_api)?).await
}

async fn leave(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    api.store.end_presence(&facts.advertised.ip().to_string()).await.map_err(into_api)?;
    let others = api.store.present().await.map_err(into_api)?;
    // The last one's address stays: a cluster that stops and starts again has nothing to repair.
    if others.is_empty() { Ok(()) } else { write_addresses(api, facts, &others).await }
}

fn into_api(error: StoreError) -> ApiError {
    error.into_api(&GroupResource::new("", "endpoints"), "kubernetes")
}

async fn write_addresses(api: &Api, facts: &Facts, addresses: &[String]) -> Result<(), ApiError> {
    write_endpoints(api, facts, addresses).await?;
    write_slice(api, facts, addresses).await
}

fn service(facts: &Facts) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": { "component": "apiserver", "provider": "kubernetes" },
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": facts.service_address.to_string(), "sessionAffinity": "None",
            "ports": [{ "name": "https", "protocol": "TCP", "port": 443, "targetPort": facts.advertised.port() }],
        },
    })
}

async fn write_endpoints(api: &Api, facts: &Facts, addresses: &[String]) -> Result<(), ApiError> {
    let ports = json!([{ "name": "https", "port": facts.advertised.port(), "protocol": "TCP" }]);
    let addresses: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
    let object = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": [{ "addresses": addresses, "ports": ports }],
    });
    write(api, &target("", "v1", "endpoints", "default", "kubernetes")?, object, &["subsets"]).await
}

async fn write_slice(api: &Api, facts: &Facts, addresses: &[String]) -> Result<(), ApiError> {
    let ready = |ip: &String| json!({ "addresses": [ip], "conditions": { "ready": true } });
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": { "kubernetes.io/service-name": "kubernetes" },
        },
        "addressType": if facts.advertised.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": addresses.iter().map(ready).collect::<Vec<_>>(),
        "ports": [{ "name": "https", "protocol": "TCP", "port": facts.advertised.port() }],
    });
    let place = target("discovery.k8s.io", "v1", "endpointslices", "default", "kubernetes")?;
    write(api, &place, object, &["endpoints", "ports"]).await
}

/// Creates the object, or gives an existing one its `fields`; writes nothing where they are the same already.
async fn write(api: &Api, place: &Target, object: Value, fields: &[&str]) -> Result<(), ApiError> {
    if ensure(api, place, object.clone()).await? {
        return Ok(());
    }
    let is_same = |old: &Value| fields.iter().all(|field| old[field] == object[field]);
    if api.guess(place).await?.is_some_and(|present| is_same(&present.value())) {
        return Ok(());
    }
    let writer = Writer::apiserver();
    let change =
        Change { target: place, writer: &writer, aspect: Aspect::Exact, ownership: Ownership::Track };
    let modify = |_: &crate::cache::CachedObject, old: &Value| {
        let mut new = old.clone();
        for field in fields {
            new[*field] = object[*field].clone();
        }
        Ok(new)
    };
    change.run(api, modify).await.map(drop)
}
