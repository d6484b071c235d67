//! The cluster's names, answered from the stores of services and endpoint slices. No I/O.
//!
//! A name that exists without a record of the asked type is NODATA (no error, no answers, SOA); one that does not
//! exist is NXDOMAIN with SOA. Resolvers walk their search path on both, but cache and report them differently.

use std::net::Ipv4Addr;
use std::sync::Arc;

use balsa_proto::client::{ObjectKey, Store};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::name::{Question, parse, reversed_address, to_dashed};
use super::records;
use crate::proxy::{BY_ADDRESS, BY_SERVICE};

/// Version of the schema, as `dns-version` tells it.
const SCHEMA_VERSION: &str = "1.1.0";

#[derive(Debug)]
pub enum Answer {
    /// Not our name: ask upstream.
    Foreign,
    /// A service that stands for an outside name: `records` holds the CNAME, the target's records come from upstream.
    External {
        records: Vec<Record>,
        target: Name,
    },
    Ours {
        code: ResponseCode,
        records: Vec<Record>,
        additionals: Vec<Record>,
        authorities: Vec<Record>,
    },
}

pub struct Zone {
    /// `cluster.local`
    pub domain: String,
    /// Where this server answers, for its own `A` record.
    pub address: Ipv4Addr,
    pub services: Store<Service>,
    pub slices: Store<EndpointSlice>,
}

/// A pod behind a service port, as far as DNS tells of it.
struct Host {
    name: String,
    address: Ipv4Addr,
    ports: Vec<(String, String, u16)>,
}

impl Zone {
    /// `name` in any case, with or without a final dot.
    pub fn answer(&self, name: &str, record_type: RecordType) -> Answer {
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        let Some(owner) = records::fully_qualified(&lower) else { return Answer::Foreign };
        if let Some(address) = reversed_address(&lower) {
            return self.reverse(&owner, address, record_type);
        }
        let Some(question) = parse(&lower, &self.domain) else { return Answer::Foreign };
        if !self.is_complete() {
            return self.not_yet();
        }
        match question {
            Question::Apex => self.apex(&owner, record_type),
            Question::NameServer => {
                self.some(record_type, RecordType::A, vec![records::a(&owner, self.address)])
            }
            Question::Version => {
                self.some(record_type, RecordType::TXT, vec![records::txt(&owner, SCHEMA_VERSION)])
            }
            Question::Branch { namespace: None } => self.no_data(),
            Question::Branch { namespace: Some(namespace) } => self.branch(&namespace),
            Question::Pod { address } => {
                self.some(record_type, RecordType::A, vec![records::a(&owner, address)])
            }
            Question::Service { namespace, service } => match self.service(&namespace, &service) {
                Some(found) => self.service_records(&owner, &found, record_type),
                None => self.no_name(),
            },
            Question::Endpoint { namespace, service, host } => {
                self.endpoint_records(&owner, &namespace, &service, &host, record_type)
            }
            Question::Port { namespace, service, protocol, port } => match self.service(&namespace, &service)
            {
                Some(found) => self.port_records(&owner, &found, &protocol, port.as_deref(), record_type),
                None => self.no_name(),
            },
            Question::Unknown => self.no_name(),
        }
    }

    fn service_records(&self, owner: &Name, service: &Arc<Service>, record_type: RecordType) -> Answer {
        if let Some(target) = external_name(service) {
            let found = records::cname(owner, target).zip(records::fully_qualified(target));
            return match found {
                Some((record, target)) => Answer::External { records: vec![record], target },
                None => self.no_data(),
            };
        }
        if record_type == RecordType::SRV {
            return self.port_records(owner, service, "", None, record_type);
        }
        let addresses: Vec<Ipv4Addr> = match cluster_ip(service) {
            Some(address) => vec![address],
            None => distinct(self.hosts(service).iter().map(|host| host.address).collect()),
        };
        self.some(
            record_type,
            RecordType::A,
            addresses.iter().map(|address| records::a(owner, *address)).collect(),
        )
    }

    fn endpoint_records(
        &self,
        owner: &Name,
        namespace: &str,
        service: &str,
        host: &str,
        record_type: RecordType,
    ) -> Answer {
        let Some(found) = self.service(namespace, service) else { return self.no_name() };
        let addresses: Vec<Ipv4Addr> = self
            .hosts(&found)
            .into_iter()
            .filter(|known| known.name == host)
            .map(|known| known.address)
            .collect();
        if addresses.is_empty() {
            return self.no_name();
        }
        let records = distinct(addresses).iter().map(|address| records::a(owner, *address)).collect();
        self.some(record_type, RecordType::A, records)
    }

    /// An empty `protocol` or no `port` means all of them.
    fn port_records(
        &self,
        owner: &Name,
        service: &Arc<Service>,
        protocol: &str,
        port: Option<&str>,
        record_type: RecordType,
    ) -> Answer {
        let is_asked = |name: &str, of_protocol: &str| {
            (protocol.is_empty() || of_protocol.eq_ignore_ascii_case(protocol))
                && port.is_none_or(|asked| asked == name)
        };
        let base = self.name_of(service);
        // Owner of the target's address, address, port.
        let mut targets: Vec<(String, Ipv4Addr, u16)> = Vec::new();
        match cluster_ip(service) {
            Some(address) => targets.extend(
                service_ports(service)
                    .filter(|port| is_asked(port_name(port), protocol_of(port)))
                    .filter_map(|port| Some((base.clone(), address, u16::try_from(port.port).ok()?))),
            ),
            None => {
                for host in self.hosts(service) {
                    let ports =
                        host.ports.iter().filter(|(name, of_protocol, _)| is_asked(name, of_protocol));
                    targets.extend(
                        ports.map(|(_, _, port)| (format!("{}.{base}", host.name), host.address, *port)),
                    );
                }
            }
        }
        if targets.is_empty() {
            return self.no_name();
        }
        if record_type != RecordType::SRV {
            return self.no_data();
        }
        let count = targets.len();
        let mut answers = Vec::new();
        let mut additionals = Vec::new();
        for (target, address, port) in targets {
            let Some(target) = records::fully_qualified(&target) else { continue };
            let additional = records::a(&target, address);
            if !additionals.contains(&additional) {
                additionals.push(additional);
            }
            answers.push(records::srv(owner, target, port, count));
        }
        Answer::Ours { code: ResponseCode::NoError, records: answers, additionals, authorities: Vec::new() }
    }

    /// Addresses that we do not know may well be known upstream.
    fn reverse(&self, owner: &Name, address: Ipv4Addr, record_type: RecordType) -> Answer {
        let text = address.to_string();
        let mut names: Vec<String> =
            self.services.by_index(BY_ADDRESS, &text).iter().map(|service| self.name_of(service)).collect();
        for slice in self.slices.by_index(BY_ADDRESS, &text) {
            let Some(service) = crate::proxy::service_of(&slice) else { continue };
            let Some((namespace, service)) = service.split_once('/') else { continue };
            let hosts =
                slice.endpoints.iter().flatten().filter(|endpoint| endpoint.addresses.contains(&text));
            names.extend(
                hosts.map(|host| {
                    format!("{}.{service}.{namespace}.svc.{}", host_name(host, &text), self.domain)
                }),
            );
        }
        if names.is_empty() {
            return Answer::Foreign;
        }
        names.sort();
        names.dedup();
        self.some(
            record_type,
            RecordType::PTR,
            names.iter().filter_map(|name| records::ptr(owner, name)).collect(),
        )
    }

    fn apex(&self, owner: &Name, record_type: RecordType) -> Answer {
        match record_type {
            RecordType::SOA => self.some(record_type, RecordType::SOA, self.soa().into_iter().collect()),
            RecordType::NS => {
                let server = records::fully_qualified(&format!("ns.dns.{}", self.domain));
                let additionals = server.iter().map(|name| records::a(name, self.address)).collect();
                let records = server.into_iter().map(|name| records::ns(owner, name)).collect();
                Answer::Ours { code: ResponseCode::NoError, records, additionals, authorities: Vec::new() }
            }
            _ => self.no_data(),
        }
    }

    fn branch(&self, namespace: &str) -> Answer {
        let is_known = self
            .services
            .list()
            .iter()
            .any(|service| service.metadata.namespace.as_deref() == Some(namespace));
        if is_known { self.no_data() } else { self.no_name() }
    }

    /// Ready endpoints of a service, in a stable order.
    fn hosts(&self, service: &Service) -> Vec<Host> {
        let meta = &service.metadata;
        let key = format!(
            "{}/{}",
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default()
        );
        let slices = self.slices.by_index(BY_SERVICE, &key);
        let mut hosts = Vec::new();
        for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
            let ports: Vec<(String, String, u16)> = slice
                .ports
                .iter()
                .flatten()
                .filter_map(|port| {
                    let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
                    Some((port.name.clone().unwrap_or_default(), protocol, u16::try_from(port.port?).ok()?))
                })
                .collect();
            for endpoint in slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint)) {
                hosts.extend(endpoint.addresses.iter().filter_map(|text| {
                    let address = text.parse().ok()?;
                    Some(Host { name: host_name(endpoint, text), address, ports: ports.clone() })
                }));
            }
        }
        hosts.sort_by(|a, b| (&a.name, a.address).cmp(&(&b.name, b.address)));
        hosts
    }

    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.services.get(&ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    fn name_of(&self, service: &Service) -> String {
        let meta = &service.metadata;
        format!(
            "{}.{}.svc.{}",
            meta.name.as_deref().unwrap_or_default(),
            meta.namespace.as_deref().unwrap_or_default(),
            self.domain
        )
    }

    /// The records if they are of the asked type and there are any; otherwise NODATA.
    fn some(&self, asked: RecordType, held: RecordType, records: Vec<Record>) -> Answer {
        if (asked != held && asked != RecordType::ANY) || records.is_empty() {
            return self.no_data();
        }
        Answer::Ours {
            code: ResponseCode::NoError,
            records,
            additionals: Vec::new(),
            authorities: Vec::new(),
        }
    }

    fn no_data(&self) -> Answer {
        self.no(ResponseCode::NoError)
    }

    fn no_name(&self) -> Answer {
        self.no(ResponseCode::NXDomain)
    }

    fn no(&self, code: ResponseCode) -> Answer {
        Answer::Ours {
            code,
            records: Vec::new(),
            additionals: Vec::new(),
            authorities: self.soa().into_iter().collect(),
        }
    }

    /// Before the first listing is in, a missing name means nothing: a no would be cached by clients.
    fn is_complete(&self) -> bool {
        self.services.is_synced() && self.slices.is_synced()
    }

    fn not_yet(&self) -> Answer {
        Answer::Ours {
            code: ResponseCode::ServFail,
            records: Vec::new(),
            additionals: Vec::new(),
            authorities: Vec::new(),
        }
    }

    fn soa(&self) -> Option<Record> {
        let domain = records::fully_qualified(&self.domain)?;
        let server = records::fully_qualified(&format!("ns.dns.{}", self.domain))?;
        let contact = records::fully_qualified(&format!("hostmaster.{}", self.domain))?;
        // The store's revision grows with every change, which is all that a serial must do.
        let serial = (self.services.revision().max(self.slices.revision()) & u64::from(u32::MAX)) as u32;
        Some(records::soa(&domain, server, contact, serial))
    }
}

fn external_name(service: &Service) -> Option<&str> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() != Some("ExternalName") {
        return None;
    }
    spec.external_name.as_deref()
}

/// None for headless services.
fn cluster_ip(service: &Service) -> Option<Ipv4Addr> {
    let spec = service.spec.as_ref()?;
    spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip).find_map(|text| text.parse().ok())
}

fn service_ports(service: &Service) -> impl Iterator<Item = &ServicePort> {
    service.spec.iter().flat_map(|spec| spec.ports.iter().flatten())
}

fn port_name(port: &ServicePort) -> &str {
    port.name.as_deref().unwrap_or_default()
}

fn protocol_of(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// The pod's hostname if it has one (StatefulSets), else its address with dashes.
fn host_name(endpoint: &Endpoint, address: &str) -> String {
    match &endpoint.hostname {
        Some(name) if !name.is_empty() => name.to_lowercase(),
        _ => to_dashed(address),
    }
}

fn distinct(mut addresses: Vec<Ipv4Addr>) -> Vec<Ipv4Addr> {
    addresses.sort();
    addresses.dedup();
    addresses
}
