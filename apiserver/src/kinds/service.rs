//! Services: ports, types, and the addresses that [`crate::alloc`] adds between preparing and storing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::bounds::AFFINITY_SECONDS;
use super::check::{Errors, one_of, port, value_named};
use super::default_rules::{Constant::*, Rule, fill};
use super::fields::mirror;
use super::walk::{each_mut, flag, int, items, join, keep, remove, set, set_absent, text};
use super::{Hooks, lifecycle, names};
use crate::error::FieldError;

pub(super) const HOOKS: Hooks = Hooks {
    default,
    prepare_create: |service| set(service, "status", json!({"loadBalancer": {}})),
    prepare_update,
    validate,
    validate_update,
    fields: |service| {
        vec![mirror(service, "spec.clusterIP", "/spec/clusterIP"), mirror(service, "spec.type", "/spec/type")]
    },
    name: names::dns_label_1035,
    ..Hooks::NONE
};

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// Everything but an ExternalName is reached through the cluster's addresses.
pub(crate) fn has_cluster_ip(service: &Value) -> bool {
    text(service, "/spec/type") != "ExternalName"
}

pub(crate) fn has_node_ports(service: &Value) -> bool {
    match text(service, "/spec/type") {
        "NodePort" => true,
        "LoadBalancer" => service.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false)),
        _ => false,
    }
}

fn default(service: &mut Value) {
    let Some(spec) = service.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    fill(
        spec,
        &[
            Rule("", "sessionAffinity", Text("None")),
            Rule("", "type", Text("ClusterIP")),
            Rule("ports[]", "protocol", Text("TCP")),
        ],
    );
    primary_address(spec);
    match text(spec, "/sessionAffinity") {
        "ClientIP" => {
            set_absent(spec, "sessionAffinityConfig", json!({"clientIP": {}}));
            fill(spec, &[Rule("sessionAffinityConfig.clientIP", "timeoutSeconds", Number(10800))]);
        }
        _ => {
            remove(spec, "sessionAffinityConfig");
        }
    }
    each_mut(spec, "ports[]", &mut target_port);
    let kind = text(spec, "/type").to_owned();
    if kind != "ExternalName" {
        set_absent(spec, "internalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set_absent(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set_absent(spec, "allocateLoadBalancerNodePorts", true);
    }
}

/// The single address is the first of the list.
fn primary_address(spec: &mut Value) {
    let first = items(spec, "/clusterIPs").first().and_then(Value::as_str).map(str::to_owned);
    if let Some(first) = first.filter(|_| text(spec, "/clusterIP").is_empty()) {
        set(spec, "clusterIP", first);
    }
}

fn target_port(port: &mut Value) {
    let unset = match port.get("targetPort") {
        None | Some(Value::Null) => true,
        Some(target) => *target == json!(0) || *target == json!(""),
    };
    if let Some(number) = port.get("port").cloned().filter(|_| unset) {
        set(port, "targetPort", number);
    }
}

/// What was allocated stays unless the client says otherwise; what a new type has no use for goes.
fn prepare_update(new: &mut Value, old: &Value) {
    let Some(before) = old.get("spec") else { return };
    if has_cluster_ip(new) && has_cluster_ip(old) {
        keep_addresses(&mut new["spec"], before);
    }
    if has_node_ports(new) && has_node_ports(old) {
        keep_node_ports(&mut new["spec"], before);
    }
    drop_unused(new, old);
}

fn keep_addresses(spec: &mut Value, before: &Value) {
    if text(spec, "/clusterIP").is_empty() && items(spec, "/clusterIPs").is_empty() {
        keep(spec, before, "clusterIP");
    }
    if items(spec, "/clusterIPs").is_empty() && spec.get("clusterIP") == before.get("clusterIP") {
        keep(spec, before, "clusterIPs");
    }
    for field in ["ipFamilies", "ipFamilyPolicy"] {
        if spec.get(field).is_none() {
            keep(spec, before, field);
        }
    }
}

fn keep_node_ports(spec: &mut Value, before: &Value) {
    let key = |port: &Value| (text(port, "/protocol").to_owned(), int(port, "/port"));
    let mut used: BTreeSet<i64> = items(spec, "/ports").iter().filter_map(|p| int(p, "/nodePort")).collect();
    each_mut(spec, "ports[]", &mut |port| {
        if int(port, "/nodePort").unwrap_or(0) != 0 {
            return;
        }
        let same = items(before, "/ports").iter().find(|candidate| key(candidate) == key(port));
        if let Some(number) =
            same.and_then(|port| int(port, "/nodePort")).filter(|number| used.insert(*number))
        {
            set(port, "nodePort", number);
        }
    });
}

fn drop_unused(new: &mut Value, old: &Value) {
    let unchanged = |new: &Value, field: &str| new.pointer(field) == old.pointer(field);
    if has_cluster_ip(old) && !has_cluster_ip(new) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if unchanged(new, &format!("/spec/{field}")) {
                remove(&mut new["spec"], field);
            }
        }
    }
    if has_node_ports(old) && !has_node_ports(new) {
        let kept: Vec<i64> = items(old, "/spec/ports").iter().filter_map(|p| int(p, "/nodePort")).collect();
        each_mut(new, "spec.ports[]", &mut |port| {
            if int(port, "/nodePort").is_some_and(|number| kept.contains(&number)) {
                remove(port, "nodePort");
            }
        });
    }
    if !matches!(text(new, "/spec/type"), "NodePort" | "LoadBalancer") {
        if unchanged(new, "/spec/externalTrafficPolicy") {
            remove(&mut new["spec"], "externalTrafficPolicy");
        }
        if unchanged(new, "/spec/allocateLoadBalancerNodePorts") {
            remove(&mut new["spec"], "allocateLoadBalancerNodePorts");
        }
    }
}

fn validate(service: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = service.get("spec").unwrap_or(&Value::Null);
    let headless = text(spec, "/clusterIP") == "None";
    match text(spec, "/type") {
        "" => errors.push(FieldError::required("spec.type", "")),
        "ExternalName" => external_name(spec, &mut errors),
        kind @ ("LoadBalancer" | "NodePort") if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid("spec.clusterIPs[0]", "None", detail));
        }
        _ => one_of(spec, "spec", "type", TYPES, &mut errors),
    }
    ports(spec, headless, &mut errors);
    lifecycle::labels(spec, "/selector", "spec.selector", &mut errors);
    affinity(spec, &mut errors);
    addresses(spec, &mut errors);
    policies(spec, &mut errors);
    errors
}

fn external_name(spec: &Value, errors: &mut Errors) {
    if !text(spec, "/clusterIP").is_empty() {
        let detail = "may not be set when `type` is 'ExternalName'";
        errors.push(FieldError::forbidden("spec.clusterIPs", detail));
    }
    match text(spec, "/externalName").trim_end_matches('.') {
        "" => errors.push(FieldError::required("spec.externalName", "")),
        name => value_named(name, "spec.externalName", names::dns_subdomain, errors),
    }
}

fn ports(spec: &Value, headless: bool, errors: &mut Errors) {
    let ports = items(spec, "/ports");
    if ports.is_empty() && !headless && text(spec, "/type") != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    let (mut seen_names, mut seen_ports) = (BTreeSet::new(), BTreeSet::new());
    for (index, entry) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        one_port(entry, &path, ports.len() > 1, &mut seen_names, errors);
        node_port(spec, entry, &path, errors);
        let key = (text(entry, "/protocol"), int(entry, "/port"));
        if !seen_ports.insert(key) {
            errors.push(FieldError::duplicate(&path, json!({"port": key.1, "protocol": key.0})));
        }
    }
}

fn one_port<'v>(
    entry: &'v Value,
    path: &str,
    needs_name: bool,
    seen: &mut BTreeSet<&'v str>,
    errors: &mut Errors,
) {
    let name = text(entry, "/name");
    if name.is_empty() && needs_name {
        errors.push(FieldError::required(join(path, "name"), ""));
    } else if !name.is_empty() {
        value_named(name, &join(path, "name"), names::dns_label, errors);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(join(path, "name"), name));
        }
    }
    match entry.get("port") {
        None => errors.push(FieldError::invalid(join(path, "port"), 0, names::in_range(1, 65535))),
        Some(_) => port(entry, path, "port", errors),
    }
    match text(entry, "/protocol") {
        "" => errors.push(FieldError::required(join(path, "protocol"), "")),
        _ => one_of(entry, path, "protocol", PROTOCOLS, errors),
    }
    match entry.get("targetPort") {
        Some(Value::String(name)) => value_named(name, &join(path, "targetPort"), names::port_name, errors),
        Some(_) => port(entry, path, "targetPort", errors),
        None => {}
    }
}

fn node_port(spec: &Value, entry: &Value, path: &str, errors: &mut Errors) {
    let kind = text(spec, "/type");
    if int(entry, "/nodePort").is_some_and(|number| number != 0)
        && !matches!(kind, "NodePort" | "LoadBalancer")
    {
        let detail = format!("may not be used when `type` is '{kind}'");
        errors.push(FieldError::forbidden(join(path, "nodePort"), detail));
    }
}

fn affinity(spec: &Value, errors: &mut Errors) {
    match text(spec, "/sessionAffinity") {
        "" => errors.push(FieldError::required("spec.sessionAffinity", "")),
        _ => one_of(spec, "spec", "sessionAffinity", &["ClientIP", "None"], errors),
    }
    if let Some(seconds) = int(spec, "/sessionAffinityConfig/clientIP/timeoutSeconds")
        && !(1..=AFFINITY_SECONDS).contains(&seconds)
    {
        let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS}");
        errors.push(FieldError::invalid(path, seconds, detail));
    }
}

fn addresses(spec: &Value, errors: &mut Errors) {
    let first = items(spec, "/clusterIPs").first().and_then(Value::as_str).unwrap_or_default();
    let primary = text(spec, "/clusterIP");
    if !primary.is_empty() && !first.is_empty() && primary != first {
        let detail = "first value must match `clusterIP`";
        errors.push(FieldError::invalid("spec.clusterIPs", spec["clusterIPs"].clone(), detail));
    }
    if !matches!(primary, "" | "None") && primary.parse::<std::net::IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid("spec.clusterIPs[0]", primary, detail));
    }
    for (index, address) in items(spec, "/externalIPs").iter().filter_map(Value::as_str).enumerate() {
        if address.parse::<std::net::IpAddr>().is_err() {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.push(FieldError::invalid(format!("spec.externalIPs[{index}]"), address, detail));
        }
    }
}

fn policies(spec: &Value, errors: &mut Errors) {
    one_of(spec, "spec", "internalTrafficPolicy", &["Cluster", "Local"], errors);
    one_of(spec, "spec", "externalTrafficPolicy", &["Cluster", "Local"], errors);
    one_of(spec, "spec", "ipFamilyPolicy", &["SingleStack", "PreferDualStack", "RequireDualStack"], errors);
    let external = matches!(text(spec, "/type"), "NodePort" | "LoadBalancer");
    if !external && spec.get("externalTrafficPolicy").is_some() && items(spec, "/externalIPs").is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid(
            "spec.externalTrafficPolicy",
            spec["externalTrafficPolicy"].clone(),
            detail,
        ));
    }
    if flag(spec, "/allocateLoadBalancerNodePorts") && text(spec, "/type") != "LoadBalancer" {
        let detail = "may only be used when `type` is 'LoadBalancer'";
        errors.push(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", detail));
    }
}

/// A cluster address never changes while the service keeps one.
fn validate_update(new: &Value, old: &Value) -> Errors {
    let before = text(old, "/spec/clusterIP");
    let now = text(new, "/spec/clusterIP");
    if has_cluster_ip(old) && has_cluster_ip(new) && !before.is_empty() && before != now {
        let shown = new.pointer("/spec/clusterIPs").cloned().unwrap_or_else(|| json!([now]));
        return vec![FieldError::invalid("spec.clusterIPs[0]", shown, "may not change once set")];
    }
    Vec::new()
}
