//! The two reflectors that proxy and DNS share.

use balsa_proto::client::{Client, Reflector, Scope};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// Index of slices by `namespace/service`.
pub const BY_SERVICE: &str = "service";
/// Index of services by ClusterIP, and of slices by endpoint address.
pub const BY_ADDRESS: &str = "address";

const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Whoever makes it hands out stores and subscriptions, then spawns `run` of both.
pub struct Feed {
    pub services: Reflector<Service>,
    pub slices: Reflector<EndpointSlice>,
}

impl Feed {
    pub fn new(client: &Client) -> Self {
        let services = Reflector::new(client.clone(), Scope::default()).index(BY_ADDRESS, service_addresses);
        let slices = Reflector::new(client.clone(), Scope::default())
            .index(BY_SERVICE, |slice| service_of(slice).into_iter().collect())
            .index(BY_ADDRESS, endpoint_addresses);
        Self { services, slices }
    }
}

/// `namespace/service` of a slice.
pub fn service_of(slice: &EndpointSlice) -> Option<String> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?;
    Some(format!("{}/{name}", slice.metadata.namespace.as_deref()?))
}

pub fn service_addresses(service: &Service) -> Vec<String> {
    let spec = service.spec.as_ref();
    let listed = spec.and_then(|spec| spec.cluster_ips.clone()).unwrap_or_default();
    let single = spec.and_then(|spec| spec.cluster_ip.clone());
    let mut addresses: Vec<String> = listed.into_iter().chain(single).filter(|text| text != "None").collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

pub fn endpoint_addresses(slice: &EndpointSlice) -> Vec<String> {
    slice.endpoints.iter().flatten().flat_map(|endpoint| endpoint.addresses.iter().cloned()).collect()
}
