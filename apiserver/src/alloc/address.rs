//! Cluster addresses: one per address family of the service.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::pool::Addresses;
use super::{Allocator, Refusal, has_addresses};
use crate::cache::encode;
use crate::error::FieldError;
use crate::kinds::walk::{child, items, keep, set, set_absent, text};
use crate::storage::Claims;

const TAKEN: &str = "provided IP is already allocated";

/// The addresses that a service holds claims on.
pub(super) fn held(service: &Value) -> Vec<String> {
    let listed = items(service, "/spec/clusterIPs").iter().filter_map(Value::as_str);
    let mut held: Vec<String> =
        listed.filter(|address| !matches!(*address, "" | "None")).map(str::to_owned).collect();
    let primary = text(service, "/spec/clusterIP");
    if held.is_empty() && !matches!(primary, "" | "None") {
        held.push(primary.to_owned());
    }
    held
}

pub(super) fn allocate(
    allocator: &Allocator,
    service: &mut Value,
    old: Option<&Value>,
    claims: &mut Claims,
) -> Result<(), Refusal> {
    let before = old.map(held).unwrap_or_default();
    if !has_addresses(service) {
        claims.release.extend(before.iter().map(|address| allocator.address_key(address)));
        return Ok(());
    }
    if text(service, "/spec/clusterIP") == "None" {
        return headless(allocator, service);
    }
    let ranges = ranges_of(allocator, service)?;
    let asked = held(service);
    let used = used(allocator);
    let mut chosen = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        let address = match asked.get(index) {
            Some(address) if before.contains(address) => address.clone(),
            Some(address) => fixed(allocator, service, range, address, &used)?,
            None => free(allocator, range, &used)?,
        };
        if !before.contains(&address) {
            claims.take.push((allocator.address_key(&address), claim(service, &address)));
        }
        chosen.push(address);
    }
    let gone = before.iter().filter(|address| !chosen.contains(address));
    claims.release.extend(gone.map(|address| allocator.address_key(address)));
    write(service, &ranges, &chosen);
    Ok(())
}

/// Families are settled all the same: endpoints follow them.
fn headless(allocator: &Allocator, service: &mut Value) -> Result<(), Refusal> {
    let ranges = ranges_of(allocator, service)?;
    write(service, &ranges, &[]);
    set(child(service, "spec"), "clusterIPs", json!(["None"]));
    set(child(service, "spec"), "clusterIP", "None");
    Ok(())
}

/// The ranges to allocate from, in the service's order of families.
fn ranges_of(allocator: &Allocator, service: &Value) -> Result<Vec<Addresses>, Refusal> {
    let all = || allocator.config.service_ranges.iter().map(|range| Addresses::new(*range));
    let policy = text(service, "/spec/ipFamilyPolicy");
    if policy == "RequireDualStack" && allocator.config.service_ranges.len() < 2 {
        let detail = "this cluster is not configured for dual-stack services";
        return Err(Refusal::Field(FieldError::invalid("spec.ipFamilyPolicy", policy, detail)));
    }
    let mut chosen: Vec<Addresses> = Vec::new();
    for (index, family) in items(service, "/spec/ipFamilies").iter().filter_map(Value::as_str).enumerate() {
        let Some(range) = all().find(|range| range.is_v6() == (family == "IPv6")) else {
            let field = format!("spec.ipFamilies[{index}]");
            let detail = "not configured on this cluster";
            return Err(Refusal::Field(FieldError::invalid(field, family, detail)));
        };
        chosen.push(range);
    }
    if chosen.is_empty() {
        chosen.extend(families_of_addresses(allocator, service));
    }
    if matches!(policy, "PreferDualStack" | "RequireDualStack") {
        let missing = all().filter(|range| chosen.iter().all(|known| known.is_v6() != range.is_v6()));
        let missing: Vec<Addresses> = missing.collect();
        chosen.extend(missing);
    }
    Ok(chosen)
}

/// The family of the address that was asked for, else the cluster's first.
fn families_of_addresses(allocator: &Allocator, service: &Value) -> Vec<Addresses> {
    let ranges = &allocator.config.service_ranges;
    let of = |address: &String| {
        let is_v6 = address.parse::<IpAddr>().ok()?.is_ipv6();
        ranges.iter().map(|range| Addresses::new(*range)).find(|range| range.is_v6() == is_v6)
    };
    let asked: Vec<Addresses> = held(service).iter().filter_map(of).collect();
    match asked.is_empty() {
        false => asked,
        true => ranges.first().map(|range| Addresses::new(*range)).into_iter().collect(),
    }
}

fn used(allocator: &Allocator) -> BTreeSet<String> {
    let claimed = crate::kinds::lookup("networking.k8s.io", "v1", "ipaddresses")
        .map(|kind| allocator.reader.list(kind, ""))
        .unwrap_or_default();
    let mut used: BTreeSet<String> = claimed.iter().map(|object| object.name.to_string()).collect();
    used.extend(allocator.services().iter().flat_map(held));
    used
}

fn fixed(
    allocator: &Allocator,
    service: &Value,
    range: &Addresses,
    address: &str,
    used: &BTreeSet<String>,
) -> Result<String, Refusal> {
    let refuse = |why: String| {
        let shown = service.pointer("/spec/clusterIPs").cloned().unwrap_or_else(|| json!([address]));
        let detail = format!("failed to allocate IP {address}: {why}");
        Err(Refusal::Field(FieldError::invalid("spec.clusterIPs", shown, detail)))
    };
    let Ok(parsed) = address.parse::<IpAddr>() else {
        return refuse("provided IP is not a valid IP address".to_owned());
    };
    if !range.contains(parsed) {
        let valid = range.range();
        return refuse(format!(
            "the provided IP ({parsed}) is not in the valid range. The range of valid IPs is {valid}"
        ));
    }
    let is_kubernetes =
        text(service, "/metadata/namespace") == "default" && text(service, "/metadata/name") == "kubernetes";
    let reserved = Some(parsed) == range.first() && !is_kubernetes;
    if reserved || used.contains(address) || allocator.was_lost(&allocator.address_key(address)) {
        return refuse(TAKEN.to_owned());
    }
    Ok(parsed.to_string())
}

fn free(allocator: &Allocator, range: &Addresses, used: &BTreeSet<String>) -> Result<String, Refusal> {
    let is_free = |offset: u32| {
        let address = range.at(offset).to_string();
        offset != 0 && !used.contains(&address) && !allocator.was_lost(&allocator.address_key(&address))
    };
    let offset = range.bands().pick(is_free).ok_or(Refusal::Exhausted("serviceIP"))?;
    Ok(range.at(offset).to_string())
}

fn write(service: &mut Value, ranges: &[Addresses], chosen: &[String]) {
    let families: Vec<&str> =
        ranges.iter().map(|range| if range.is_v6() { "IPv6" } else { "IPv4" }).collect();
    let spec = child(service, "spec");
    if let Some(primary) = chosen.first() {
        set(spec, "clusterIP", primary.as_str());
        set(spec, "clusterIPs", chosen.to_vec());
    }
    set(spec, "ipFamilies", families);
    set_absent(spec, "ipFamilyPolicy", "SingleStack");
}

/// The claim is an IPAddress object, so that people see who holds what.
fn claim(service: &Value, address: &str) -> Bytes {
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": address,
            "uid": uuid::Uuid::new_v4().to_string(),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": family,
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {
            "parentRef": {
                "resource": "services",
                "namespace": text(service, "/metadata/namespace"),
                "name": text(service, "/metadata/name"),
            },
        },
    });
    let made = json!({"creationTimestamp": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
    keep(&mut object["metadata"], &made, "creationTimestamp");
    encode::stored(&object)
}
