//! Addresses and ports: given once, asked for by name, released, and refused with the stock texts.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{AllocConfig, Allocator};
use crate::admission::admission_test::FakeReader;
use crate::kinds::lookup;
use crate::storage::Claims;

fn allocator(services: Vec<Value>) -> Allocator {
    let config = AllocConfig {
        service_ranges: vec!["10.96.0.0/28".parse().expect("a range")],
        node_ports: 30000..=30002,
        prefix: "/registry/".into(),
    };
    Allocator::new(config, Arc::new(FakeReader(services)))
}

fn service(name: &str, spec: Value) -> Value {
    json!({"kind": "Service", "metadata": {"name": name, "namespace": "team"}, "spec": spec})
}

fn allocate(allocator: &Allocator, object: &mut Value, old: Option<&Value>) -> Result<Claims, String> {
    let kind = lookup("", "v1", "services").expect("services");
    allocator.allocate(kind, object, old).map_err(|error| error.to_string())
}

fn keys(claims: &Claims) -> Vec<&str> {
    claims.take.iter().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn a_service_gets_an_address_and_ports_and_gives_them_back() {
    let allocator = allocator(Vec::new());
    let mut web = service("web", json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}));
    let claims = allocate(&allocator, &mut web, None).expect("allocated");
    let address = web["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    let port = web["spec"]["ports"][0]["nodePort"].as_i64().expect("a port");
    assert_eq!(web["spec"]["clusterIPs"], json!([address]));
    assert_eq!(
        (&web["spec"]["ipFamilies"], &web["spec"]["ipFamilyPolicy"]),
        (&json!(["IPv4"]), &json!("SingleStack"))
    );
    let expected = [format!("/registry/ipaddresses/{address}"), format!("/registry/balsa/nodeports/{port}")];
    assert_eq!(keys(&claims), expected);
    assert!(
        claims.take[0]
            .1
            .starts_with(br#"{"apiVersion":"networking.k8s.io/v1","kind":"IPAddress","metadata":{"#)
    );
    let kind = lookup("", "v1", "services").expect("services");
    assert_eq!(allocator.release(kind, &web).release, expected);

    let mut outside = web.clone();
    outside["spec"] = json!({"type": "ExternalName", "externalName": "x.example.com"});
    let claims = allocate(&allocator, &mut outside, Some(&web)).expect("allocated");
    assert_eq!((keys(&claims).len(), claims.release), (0, expected.to_vec()));

    let mut same = web.clone();
    assert_eq!(allocate(&allocator, &mut same, Some(&web)), Ok(Claims::default()));
    assert_eq!(same, web);
}

#[test]
fn headless_and_external_services_have_no_address() {
    let allocator = allocator(Vec::new());
    let mut headless = service("db", json!({"type": "ClusterIP", "clusterIP": "None"}));
    assert_eq!(allocate(&allocator, &mut headless, None), Ok(Claims::default()));
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    let mut external = service("x", json!({"type": "ExternalName"}));
    assert_eq!(allocate(&allocator, &mut external, None), Ok(Claims::default()));
}

#[test]
fn what_is_taken_or_outside_is_refused() {
    let other = service(
        "other",
        json!({
            "type": "NodePort", "clusterIP": "10.96.0.5", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}],
        }),
    );
    let allocator = allocator(vec![other]);
    let refusal = |spec: Value| allocate(&allocator, &mut service("web", spec), None).expect_err("refused");
    let address = |ip: &str| refusal(json!({"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip]}));
    let head = "Service \"web\" is invalid: spec.clusterIPs: Invalid value: ";
    assert_eq!(
        address("10.96.0.5"),
        format!("{head}[\"10.96.0.5\"]: failed to allocate IP 10.96.0.5: provided IP is already allocated")
    );
    assert_eq!(
        address("10.1.0.1"),
        format!(
            "{head}[\"10.1.0.1\"]: failed to allocate IP 10.1.0.1: the provided IP (10.1.0.1) is not in the valid range. \
             The range of valid IPs is 10.96.0.0/28"
        )
    );
    assert!(
        address("10.96.0.1").ends_with("provided IP is already allocated"),
        "the first is for `kubernetes`"
    );
    let port = |number: i64| {
        refusal(json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP", "nodePort": number}]}))
    };
    let head = "Service \"web\" is invalid: spec.ports[0].nodePort: Invalid value: ";
    assert_eq!(port(30001), format!("{head}30001: provided port is already allocated"));
    assert_eq!(
        port(80),
        format!("{head}80: provided port is not in the valid range. The range of valid ports is 30000-32767")
            .replace("32767", "30002")
    );
    allocator.taken("/registry/balsa/nodeports/30002");
    assert_eq!(port(30002), format!("{head}30002: provided port is already allocated"));
}

#[test]
fn one_port_may_serve_two_protocols_and_ranges_end() {
    let allocator = allocator(Vec::new());
    let shared = json!({"type": "NodePort", "ports": [
        {"port": 53, "protocol": "TCP", "nodePort": 30000}, {"port": 53, "protocol": "UDP", "nodePort": 30000},
    ]});
    let claims = allocate(&allocator, &mut service("dns", shared), None).expect("allocated");
    assert_eq!(claims.take.len(), 2);
    let ports: Vec<Value> = (1..=4).map(|port| json!({"port": port, "protocol": "TCP"})).collect();
    let refused =
        allocate(&allocator, &mut service("many", json!({"type": "NodePort", "ports": ports})), None);
    assert_eq!(
        refused.expect_err("only three ports"),
        "Internal error occurred: failed to allocate a nodePort: range is full"
    );
}
