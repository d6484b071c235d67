//! endpointslice: tells the proxies which addresses stand behind a service.
//!
//! In: services, pods, nodes (zones), slices. Out: at most `--max-endpoints-per-slice` endpoints per slice, one set of slices for
//! each address family and set of ports. Slices change as little as possible: each change goes to every node.

mod desired;
mod plan;
mod reconcile;

pub use plan::plan;

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::driver::Controller;
use crate::endpoint_ports::services_of;
use crate::object::{key_of, label, namespace_of};
use crate::world::{Change, World};

pub const CONTROLLER: Controller = Controller { name: "endpointslice-controller", workers: 5, keys, plan };

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";

fn keys(world: &World, change: &Change) -> Vec<ObjectKey> {
    match change {
        Change::Service(delta) => vec![key_of(&delta.latest().metadata)],
        Change::Pod(delta) => services_of(world, delta),
        Change::EndpointSlice(delta) => service_key(delta.latest()).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The service of a slice that this controller manages.
fn service_key(slice: &EndpointSlice) -> Option<ObjectKey> {
    if label(&slice.metadata, MANAGED_BY) != Some(MANAGER) {
        return None;
    }
    Some(ObjectKey::new(namespace_of(&slice.metadata), label(&slice.metadata, SERVICE_NAME)?))
}
