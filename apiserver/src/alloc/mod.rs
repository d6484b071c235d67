//! Addresses and ports of services: who gets which, so that none is ever given twice.
//!
//! In: a service about to be stored, in stored form. Out: the service with its cluster addresses and node ports,
//! and the [`Claims`] to put into the same etcd Txn: keys that must not exist yet. The cache only guides the
//! choice; the Txn decides. After a lost race the caller reports the key with [`Allocator::taken`] and asks again.
//! An address is claimed by the `IPAddress` object of that name; a port by a key below `balsa/nodeports`.

mod address;
mod node_port;
mod pool;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ipnet::IpNet;
use parking_lot::Mutex;
use serde_json::Value;

use crate::cache::Reader;
use crate::error::{ApiError, FieldError, GroupKind};
use crate::kinds::walk::text;
use crate::kinds::{Kind, service};
use crate::storage::Claims;

/// Where services live in the address space; from flags.
#[derive(Clone, Debug)]
pub struct AllocConfig {
    /// One range, or one of each family; the first is the primary one. `--service-cluster-ip-range`
    pub service_ranges: Vec<IpNet>,
    /// `--service-node-port-range`
    pub node_ports: RangeInclusive<u16>,
    /// Storage prefix with slashes at both ends: `/registry/`.
    pub prefix: String,
}

/// Shared by all requests.
pub struct Allocator {
    config: AllocConfig,
    reader: Arc<dyn Reader>,
    /// Keys that were found taken before the cache knew.
    lost: Mutex<Vec<(Instant, String)>>,
}

/// By then the cache has seen what the key stands for.
const LOST_FOR: Duration = Duration::from_secs(5);

impl Allocator {
    pub fn new(config: AllocConfig, reader: Arc<dyn Reader>) -> Allocator {
        Allocator { config, reader, lost: Mutex::new(Vec::new()) }
    }

    /// Completes a service on create (`old` is None) and on update. Other kinds pass through.
    pub fn allocate(&self, kind: &Kind, object: &mut Value, old: Option<&Value>) -> Result<Claims, ApiError> {
        if !is_service(kind) {
            return Ok(Claims::default());
        }
        let mut claims = Claims::default();
        let outcome = address::allocate(self, object, old, &mut claims)
            .and_then(|()| node_port::allocate(self, object, old, &mut claims));
        match outcome {
            Ok(()) => Ok(claims),
            Err(Refusal::Field(error)) => {
                let name = text(object, "/metadata/name");
                Err(ApiError::invalid(&GroupKind::new("", "Service"), name, vec![error]))
            }
            Err(Refusal::Exhausted(what)) => {
                Err(ApiError::internal(format!("failed to allocate a {what}: range is full")))
            }
        }
    }

    /// What goes with the object when it is removed.
    pub fn release(&self, kind: &Kind, object: &Value) -> Claims {
        if !is_service(kind) {
            return Claims::default();
        }
        let addresses = address::held(object).into_iter().map(|address| self.address_key(&address));
        let ports = node_port::held(object).into_iter().map(|port| self.port_key(port));
        Claims { take: Vec::new(), release: addresses.chain(ports).collect() }
    }

    /// The key of a claim turned out to exist.
    pub fn taken(&self, key: &str) {
        self.lost.lock().push((Instant::now(), key.to_owned()));
    }

    fn was_lost(&self, key: &str) -> bool {
        let mut lost = self.lost.lock();
        lost.retain(|(since, _)| since.elapsed() < LOST_FOR);
        lost.iter().any(|(_, known)| known == key)
    }

    fn address_key(&self, address: &str) -> String {
        format!("{}ipaddresses/{address}", self.config.prefix)
    }

    fn port_key(&self, port: u16) -> String {
        format!("{}balsa/nodeports/{port}", self.config.prefix)
    }

    fn services(&self) -> Vec<Value> {
        let kind = crate::kinds::lookup("", "v1", "services").expect("services are in the table");
        self.reader.list(kind, "").iter().map(|service| service.value()).collect()
    }
}

/// Why nothing was allocated.
enum Refusal {
    Field(FieldError),
    /// What has run out.
    Exhausted(&'static str),
}

fn is_service(kind: &Kind) -> bool {
    kind.plural == "services" && kind.group.is_empty()
}

/// Whose claim it is, for whoever reads the store.
fn owner_of(service: &Value) -> Bytes {
    Bytes::from(format!("{}/{}", text(service, "/metadata/namespace"), text(service, "/metadata/name")))
}

fn has_addresses(service: &Value) -> bool {
    service::has_cluster_ip(service)
}

#[cfg(test)]
mod alloc_test;
