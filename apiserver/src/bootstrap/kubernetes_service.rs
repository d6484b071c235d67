//! The Service `kubernetes` in `default`, and the endpoints behind it: the addresses of all apiservers.
//!
//! A server adds its own address and leaves others alone; an address that has moved on (same server, new address)
//! is replaced when it was the only one.

use serde_json::{Value, json};

use super::{Facts, ensure, target};
use crate::error::ApiError;
use crate::pipeline::change::{Aspect, Change, Ownership};
use crate::pipeline::{Api, Writer};

pub(super) async fn ensure_all(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    ensure(api, &target("", "v1", "services", "default", "kubernetes")?, service(facts)).await?;
    if facts.advertised.ip().is_loopback() {
        tracing::warn!("the advertised address is a loopback one: the Service kubernetes gets no endpoints");
        return Ok(());
    }
    ensure_endpoints(api, facts).await?;
    ensure_slice(api, facts).await
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

async fn ensure_endpoints(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    let place = target("", "v1", "endpoints", "default", "kubernetes")?;
    let ports = json!([{ "name": "https", "port": facts.advertised.port(), "protocol": "TCP" }]);
    let object = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": [{ "addresses": [{ "ip": facts.advertised.ip().to_string() }], "ports": ports }],
    });
    if ensure(api, &place, object).await? {
        return Ok(());
    }
    let ours = json!({ "ip": facts.advertised.ip().to_string() });
    let writer = Writer::apiserver();
    let change =
        Change { target: &place, writer: &writer, aspect: Aspect::Exact, ownership: Ownership::Track };
    let modify = |_: &crate::cache::CachedObject, old: &Value| {
        let mut new = old.clone();
        let addresses = &old["subsets"][0]["addresses"];
        new["subsets"] = json!([{ "addresses": joined(addresses, ours.clone()), "ports": ports.clone() }]);
        Ok(new)
    };
    change.run(api, modify).await.map(drop)
}

async fn ensure_slice(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    let place = target("discovery.k8s.io", "v1", "endpointslices", "default", "kubernetes")?;
    let ip = facts.advertised.ip();
    let ours = json!({ "addresses": [ip.to_string()], "conditions": { "ready": true } });
    let ports = json!([{ "name": "https", "port": facts.advertised.port(), "protocol": "TCP" }]);
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": { "kubernetes.io/service-name": "kubernetes" },
        },
        "addressType": if ip.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [ours], "ports": ports,
    });
    if ensure(api, &place, object).await? {
        return Ok(());
    }
    let writer = Writer::apiserver();
    let change =
        Change { target: &place, writer: &writer, aspect: Aspect::Exact, ownership: Ownership::Track };
    let modify = |_: &crate::cache::CachedObject, old: &Value| {
        let mut new = old.clone();
        new["endpoints"] = joined(&old["endpoints"], ours.clone());
        new["ports"] = ports.clone();
        Ok(new)
    };
    change.run(api, modify).await.map(drop)
}

/// A lone entry is taken to be our own former address.
fn joined(present: &Value, ours: Value) -> Value {
    match present.as_array().map(Vec::as_slice) {
        None | Some([] | [_]) => json!([ours]),
        Some(many) if many.contains(&ours) => json!(many),
        Some(many) => many.iter().cloned().chain([ours]).collect(),
    }
}
