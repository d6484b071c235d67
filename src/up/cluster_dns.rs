//! The Service `kube-dns`: what shows the cluster DNS address to people, and keeps it from everybody else.
//!
//! Every node's agent answers on the address itself, so the Service selects no pods and has no endpoints.

use anyhow::{Context, Result};
use balsa_proto::client::{Client, ClientConfig, Error};
use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::settings::{CLUSTER_DNS, Settings};

/// Creates it where it is missing; one that is there already is left as it is.
pub async fn ensure(settings: &Settings) -> Result<()> {
    let config = ClientConfig::from_kubeconfig(&settings.layout.kubeconfig(), "balsa-up")
        .context("read the administrator's kubeconfig")?;
    let client = Client::new(config).context("connect to the apiserver")?;
    let outcome = client.create(&service()).await;
    match outcome {
        Ok(_) => Ok(()),
        Err(error) if error.is_already_exists() => Ok(()),
        // A cluster from before this Service may have given the address away: DNS on the nodes is not affected.
        Err(error) if error.is_invalid() => {
            tracing::warn!(%error, address = %CLUSTER_DNS, "another Service has the cluster DNS address");
            Ok(())
        }
        Err(error) => Err::<(), Error>(error).context("create the Service kube-system/kube-dns"),
    }
}

fn service() -> Service {
    let object = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kube-dns", "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": CLUSTER_DNS.to_string(),
            "ports": [
                { "name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53 },
                { "name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 53 },
            ],
        },
    });
    serde_json::from_value(object).expect("a Service written by hand has the fields of one")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_service_is_one() {
        assert_eq!(super::service().spec.and_then(|spec| spec.cluster_ip).as_deref(), Some("10.96.0.10"));
    }
}
