//! What the cluster tells about itself: the network of services, and which CA says who clients are.
//!
//! `servicecidrs/kubernetes` shows the range that ClusterIPs come from. `extension-apiserver-authentication` in
//! `kube-system` is where other API servers and components learn the client CA; it follows `--client-ca-file`.

use serde_json::{Value, json};

use super::{Facts, ensure, target};
use crate::cache::CachedObject;
use crate::error::ApiError;
use crate::pipeline::change::{Aspect, Change, Ownership};
use crate::pipeline::{Api, Target, Writer, meta};
use crate::verbs::update;

pub(super) async fn ensure_all(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    ensure_service_range(api, facts).await?;
    ensure_client_ca(api, facts).await
}

async fn ensure_service_range(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    let place = target("networking.k8s.io", "v1", "servicecidrs", "", "kubernetes")?;
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": { "name": "kubernetes" },
        "spec": { "cidrs": [facts.service_range.to_string()] },
    });
    if !ensure(api, &place, object.clone()).await? {
        return Ok(());
    }
    object["status"] = json!({ "conditions": [{
        "type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready",
        "lastTransitionTime": meta::format_time(jiff::Timestamp::now()),
    }] });
    let status = Target { subresource: "status".into(), ..place };
    update::update(api, &status, &Writer::apiserver(), object).await.map(drop)
}

async fn ensure_client_ca(api: &Api, facts: &Facts) -> Result<(), ApiError> {
    let place = target("", "v1", "configmaps", "kube-system", "extension-apiserver-authentication")?;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "extension-apiserver-authentication", "namespace": "kube-system" },
        "data": { "client-ca-file": facts.client_ca_pem },
    });
    if ensure(api, &place, object).await? {
        return Ok(());
    }
    let writer = Writer::apiserver();
    let change =
        Change { target: &place, writer: &writer, aspect: Aspect::Object, ownership: Ownership::Track };
    let modify = |_: &CachedObject, old: &Value| {
        let mut new = old.clone();
        new["data"]["client-ca-file"] = json!(facts.client_ca_pem);
        Ok(new)
    };
    change.run(api, modify).await.map(drop)
}
