//! Networking: Endpoints, EndpointSlice, Ingress, IngressClass, NetworkPolicy, IPAddress, ServiceCIDR.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::bounds::{ENDPOINT_ADDRESSES, SLICE_ENDPOINTS, SLICE_PORTS};
use super::check::{self, Check, Errors, immutable, named, one_of, port, required, value_named};
use super::default_rules::{Constant::*, Rule, fill};
use super::walk::{each, items, join, set, text};
use super::{Hooks, names, selector};
use crate::error::{FieldError, FieldErrorKind};

const ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub(super) const ENDPOINTS: Hooks = Hooks {
    default: |endpoints| fill(endpoints, &[Rule("subsets[].ports[]", "protocol", Text("TCP"))]),
    validate: validate_endpoints,
    ..Hooks::NONE
};
pub(super) const ENDPOINT_SLICE: Hooks = Hooks {
    default: |slice| {
        fill(slice, &[Rule("ports[]", "name", Text("")), Rule("ports[]", "protocol", Text("TCP"))]);
    },
    validate: validate_slice,
    validate_update: |new, old| {
        let mut errors = Vec::new();
        immutable(new, old, "/addressType", &mut errors);
        errors
    },
    ..Hooks::NONE
};
pub(super) const INGRESS: Hooks = Hooks {
    prepare_create: |ingress| set(ingress, "status", json!({"loadBalancer": {}})),
    validate: validate_ingress,
    ..Hooks::NONE
};
pub(super) const INGRESS_CLASS: Hooks = Hooks {
    default: |class| fill(class, &[Rule("spec.parameters", "scope", Text("Cluster"))]),
    validate: |class| {
        let mut errors = Vec::new();
        check::run(class, &[Check::Required("spec", "controller")], &mut errors);
        errors
    },
    validate_update: |new, old| {
        let mut errors = Vec::new();
        immutable(new, old, "/spec/controller", &mut errors);
        errors
    },
    ..Hooks::NONE
};
pub(super) const NETWORK_POLICY: Hooks =
    Hooks { default: default_network_policy, validate: validate_network_policy, ..Hooks::NONE };
pub(super) const IP_ADDRESS: Hooks = Hooks {
    validate: |address| {
        let mut errors = Vec::new();
        let parent = address.pointer("/spec/parentRef").unwrap_or(&Value::Null);
        required(parent, "spec.parentRef", "resource", &mut errors);
        required(parent, "spec.parentRef", "name", &mut errors);
        errors
    },
    name: |name| if name.parse::<IpAddr>().is_ok() { Vec::new() } else { vec![ADDRESS.to_owned()] },
    ..Hooks::NONE
};
pub(super) const SERVICE_CIDR: Hooks = Hooks {
    validate: |cidr| {
        let mut errors = Vec::new();
        check::run(cidr, &[Check::Required("spec", "cidrs")], &mut errors);
        for (index, value) in items(cidr, "/spec/cidrs").iter().filter_map(Value::as_str).enumerate() {
            cidr_value(value, &format!("spec.cidrs[{index}]"), &mut errors);
        }
        errors
    },
    ..Hooks::NONE
};

fn cidr_value(value: &str, path: &str, errors: &mut Errors) {
    if value.parse::<IpNet>().is_err() {
        errors.push(FieldError::invalid(path, value, CIDR));
    }
}

/// A reachable address of a pod or of something outside; never this host's own or a link's.
fn endpoint_address(address: &str, path: &str, errors: &mut Errors) {
    let Ok(ip) = address.parse::<IpAddr>() else {
        return errors.push(FieldError::invalid(path, address, ADDRESS));
    };
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => (ip.segments()[0] & 0xffc0) == 0xfe80,
    };
    let why = if ip.is_unspecified() {
        Some(format!("may not be unspecified ({address})"))
    } else if ip.is_loopback() {
        Some("may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned())
    } else if link_local {
        Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned())
    } else if ip.is_multicast() {
        Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned())
    } else {
        None
    };
    errors.extend(why.map(|why| FieldError::invalid(path, address, why)));
}

fn validate_endpoints(endpoints: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, subset) in items(endpoints, "/subsets").iter().enumerate() {
        let path = format!("subsets[{index}]");
        if items(subset, "/addresses").is_empty() && items(subset, "/notReadyAddresses").is_empty() {
            errors.push(FieldError::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for list in ["addresses", "notReadyAddresses"] {
            for (index, address) in items(subset, &format!("/{list}")).iter().enumerate() {
                endpoint_address(text(address, "/ip"), &format!("{path}.{list}[{index}].ip"), &mut errors);
            }
        }
        let ports = items(subset, "/ports");
        for (index, entry) in ports.iter().enumerate() {
            endpoint_port(entry, &format!("{path}.ports[{index}]"), ports.len() > 1, &mut errors);
        }
    }
    errors
}

fn endpoint_port(entry: &Value, path: &str, needs_name: bool, errors: &mut Errors) {
    let name = text(entry, "/name");
    if name.is_empty() && needs_name {
        errors.push(FieldError::required(join(path, "name"), ""));
    } else if !name.is_empty() {
        value_named(name, &join(path, "name"), names::dns_label, errors);
    }
    port(entry, path, "port", errors);
    one_of(entry, path, "protocol", PROTOCOLS, errors);
}

fn validate_slice(slice: &Value) -> Errors {
    let mut errors = Vec::new();
    if required(slice, "", "addressType", &mut errors) {
        one_of(slice, "", "addressType", &["FQDN", "IPv4", "IPv6"], &mut errors);
    }
    let kind = text(slice, "/addressType");
    let endpoints = items(slice, "/endpoints");
    too_many(endpoints.len(), SLICE_ENDPOINTS, "endpoints", &mut errors);
    for (index, endpoint) in endpoints.iter().enumerate() {
        let path = format!("endpoints[{index}].addresses");
        let addresses = items(endpoint, "/addresses");
        if addresses.is_empty() {
            errors.push(FieldError::required(&path, "must contain at least 1 address"));
        }
        too_many(addresses.len(), ENDPOINT_ADDRESSES, &path, &mut errors);
        for (index, address) in addresses.iter().filter_map(Value::as_str).enumerate() {
            slice_address(address, kind, &format!("{path}[{index}]"), &mut errors);
        }
    }
    let ports = items(slice, "/ports");
    too_many(ports.len(), SLICE_PORTS, "ports", &mut errors);
    for (index, entry) in ports.iter().enumerate() {
        let path = format!("ports[{index}]");
        if !text(entry, "/name").is_empty() {
            named(entry, &path, "name", names::dns_label, &mut errors);
        }
        one_of(entry, &path, "protocol", PROTOCOLS, &mut errors);
        port(entry, &path, "port", &mut errors);
    }
    errors
}

fn slice_address(address: &str, kind: &str, path: &str, errors: &mut Errors) {
    match (kind, address.parse::<IpAddr>()) {
        ("IPv4", Ok(IpAddr::V4(_))) | ("IPv6", Ok(IpAddr::V6(_))) => endpoint_address(address, path, errors),
        ("IPv4", _) => errors.push(FieldError::invalid(path, address, "must be an IPv4 address")),
        ("IPv6", _) => errors.push(FieldError::invalid(path, address, "must be an IPv6 address")),
        _ => value_named(address, path, names::dns_subdomain, errors),
    }
}

fn too_many(count: usize, limit: usize, path: &str, errors: &mut Errors) {
    if count > limit {
        errors.push(FieldError {
            kind: FieldErrorKind::TooMany,
            field: path.to_owned(),
            bad_value: Some(Value::from(count)),
            detail: format!("must have at most {limit} items"),
        });
    }
}

fn validate_ingress(ingress: &Value) -> Errors {
    let mut errors = Vec::new();
    let rules = items(ingress, "/spec/rules");
    let default_backend = ingress.pointer("/spec/defaultBackend");
    if rules.is_empty() && default_backend.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid("spec", json!([]), detail));
    }
    if let Some(backend) = default_backend {
        validate_backend(backend, "spec.defaultBackend", &mut errors);
    }
    for (index, rule) in rules.iter().enumerate() {
        ingress_rule(rule, &format!("spec.rules[{index}]"), &mut errors);
    }
    check::run(ingress, &[Check::Named("spec", "ingressClassName", names::dns_subdomain)], &mut errors);
    errors
}

fn ingress_rule(rule: &Value, path: &str, errors: &mut Errors) {
    let host = text(rule, "/host");
    if host.parse::<IpAddr>().is_ok() {
        errors.push(FieldError::invalid(join(path, "host"), host, "must be a DNS name, not an IP address"));
    } else if host.contains('*') {
        value_named(host, &join(path, "host"), names::wildcard_subdomain, errors);
    } else if !host.is_empty() {
        value_named(host, &join(path, "host"), names::dns_subdomain, errors);
    }
    let Some(http) = rule.get("http") else { return };
    let path = join(path, "http");
    required(http, &path, "paths", errors);
    for (index, entry) in items(http, "/paths").iter().enumerate() {
        let path = format!("{path}.paths[{index}]");
        match text(entry, "/pathType") {
            "" => errors.push(FieldError::required(join(&path, "pathType"), "pathType must be specified")),
            "Exact" | "Prefix" if !text(entry, "/path").starts_with('/') => {
                errors.push(FieldError::invalid(
                    join(&path, "path"),
                    text(entry, "/path"),
                    "must be an absolute path",
                ));
            }
            _ => one_of(entry, &path, "pathType", &["Exact", "ImplementationSpecific", "Prefix"], errors),
        }
        validate_backend(entry.get("backend").unwrap_or(&Value::Null), &join(&path, "backend"), errors);
    }
}

fn validate_backend(backend: &Value, path: &str, errors: &mut Errors) {
    match (backend.get("service"), backend.get("resource")) {
        (None, None) => {
            errors.push(FieldError::required(path, "must specify a backend: service or resource"))
        }
        (Some(_), Some(_)) => {
            let detail = "cannot set both resource and service backends";
            errors.push(FieldError::invalid(path, "", detail));
        }
        (Some(service), None) => backend_service(service, &join(path, "service"), errors),
        (None, Some(_)) => {}
    }
}

fn backend_service(service: &Value, path: &str, errors: &mut Errors) {
    if required(service, path, "name", errors) {
        named(service, path, "name", names::dns_label_1035, errors);
    }
    let entry = service.get("port").unwrap_or(&Value::Null);
    let path = join(path, "port");
    match (text(entry, "/name"), entry.get("number")) {
        ("", None) => errors.push(FieldError::required(&path, "port name or number is required")),
        ("", Some(_)) => port(entry, &path, "number", errors),
        (name, None) => value_named(name, &join(&path, "name"), names::port_name, errors),
        (_, Some(_)) => {
            let detail = "cannot set both port name & port number";
            errors.push(FieldError::invalid(&path, entry.clone(), detail));
        }
    }
}

/// Ingress is always meant; egress only if there are egress rules.
fn default_network_policy(policy: &mut Value) {
    let egress = !items(policy, "/spec/egress").is_empty();
    let types: &'static [&'static str] = if egress { &["Ingress", "Egress"] } else { &["Ingress"] };
    fill(
        policy,
        &[
            Rule("spec", "policyTypes", Texts(types)),
            Rule("spec", "podSelector", Object),
            Rule("spec.ingress[].ports[]", "protocol", Text("TCP")),
            Rule("spec.egress[].ports[]", "protocol", Text("TCP")),
        ],
    );
}

fn validate_network_policy(policy: &Value) -> Errors {
    let mut errors = Vec::new();
    if let Some(pods) = policy.pointer("/spec/podSelector") {
        selector::validate(pods, "spec.podSelector", &mut errors);
    }
    for peers in ["spec.ingress[].from[]", "spec.egress[].to[]"] {
        each(policy, peers, &mut |path, peer| validate_peer(peer, path, &mut errors));
    }
    for ports in ["spec.ingress[].ports[]", "spec.egress[].ports[]"] {
        each(policy, ports, &mut |path, entry| {
            one_of(entry, path, "protocol", PROTOCOLS, &mut errors);
            if entry.get("port").is_some() {
                check::port_or_name(entry, path, "port", &mut errors);
            }
        });
    }
    for (index, kind) in items(policy, "/spec/policyTypes").iter().filter_map(Value::as_str).enumerate() {
        if !matches!(kind, "Ingress" | "Egress") {
            let path = format!("spec.policyTypes[{index}]");
            errors.push(FieldError::not_supported(path, kind, &["Egress", "Ingress"]));
        }
    }
    errors
}

fn validate_peer(peer: &Value, path: &str, errors: &mut Errors) {
    let selectors =
        ["podSelector", "namespaceSelector"].iter().filter(|field| peer.get(**field).is_some()).count();
    match peer.get("ipBlock") {
        Some(_) if selectors > 0 => {
            errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
        }
        Some(block) => cidr_value(text(block, "/cidr"), &format!("{path}.ipBlock.cidr"), errors),
        None if selectors == 0 => errors.push(FieldError::required(path, "must specify a peer")),
        None => {}
    }
    for field in ["podSelector", "namespaceSelector"] {
        if let Some(labels) = peer.get(field) {
            selector::validate(labels, &join(path, field), errors);
        }
    }
}
