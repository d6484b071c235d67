//! The node's Lease in `kube-node-lease`: cheap proof of life, renewed every 10 s.

use std::sync::Arc;

use balsa_proto::client::{Error, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::api_link::ApiLink;
use crate::limits;

pub async fn run(link: Arc<dyn ApiLink>, node_name: String, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(limits::LEASE_RENEW);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut held = None;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return,
        }
        match renew(link.as_ref(), &node_name, held.take()).await {
            Ok(lease) => held = Some(lease),
            Err(error) if error.is_conflict() => {
                debug!(%error, "node lease changed by another; read again");
                tick.reset_after(limits::REGISTER_RETRY);
            }
            Err(error) if error.is_not_found() => {
                debug!(%error, "the node is not registered yet, and its lease names it as owner");
                tick.reset_after(limits::REGISTER_RETRY);
            }
            Err(error) => {
                warn!(%error, "node lease not renewed; tried again");
                tick.reset_after(limits::REGISTER_RETRY * 5);
            }
        }
    }
}

/// The last answer's resourceVersion makes the next renewal one request.
async fn renew(link: &dyn ApiLink, node_name: &str, held: Option<Lease>) -> Result<Lease, Error> {
    let key = ObjectKey::new("kube-node-lease", node_name);
    let current = match held {
        Some(lease) => Some(lease),
        None => match link.lease(&key).await {
            Ok(lease) => Some(lease),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        },
    };
    match current {
        Some(mut lease) => {
            lease.spec = Some(spec(node_name));
            link.update_lease(&lease).await
        }
        None => {
            let owner = link.node(node_name).await?;
            let metadata = ObjectMeta {
                name: Some(key.name),
                namespace: Some(key.namespace),
                owner_references: Some(vec![OwnerReference {
                    api_version: "v1".to_owned(),
                    kind: "Node".to_owned(),
                    name: node_name.to_owned(),
                    uid: owner.metadata.uid.unwrap_or_default(),
                    ..OwnerReference::default()
                }]),
                ..ObjectMeta::default()
            };
            link.create_lease(&Lease { metadata, spec: Some(spec(node_name)) }).await
        }
    }
}

fn spec(node_name: &str) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(node_name.to_owned()),
        lease_duration_seconds: i32::try_from(limits::LEASE_DURATION.as_secs()).ok(),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..LeaseSpec::default()
    }
}
