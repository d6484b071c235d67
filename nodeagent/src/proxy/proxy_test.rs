//! Golden rule texts, and what the kernel says to them.
//!
//! Each file in `testdata/` is the transaction that leads to one of [`worlds`] from the world before it;
//! `UPDATE_EXPECT=1` rewrites them. As root, the texts are also loaded in a fresh network namespace.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use expect_test::expect_file;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::feed::service_of;
use super::model::Model;
use super::plan::{NodeView, plan};
use super::{ProxyMode, conntrack, diff, nft};

pub fn service(name: &str, spec: Value) -> Service {
    let value = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
    serde_json::from_value(value).expect("service")
}

fn balanced(name: &str, spec: Value, ingress: &[&str]) -> Service {
    let mut service = serde_json::to_value(service(name, spec)).expect("JSON");
    let points: Vec<Value> = ingress.iter().map(|ip| json!({"ip": ip})).collect();
    service["status"] = json!({"loadBalancer": {"ingress": points}});
    serde_json::from_value(service).expect("service")
}

/// Endpoints as `address[@node][!]`; `!` means terminating but serving.
pub fn slice(service: &str, ports: Value, endpoints: &[&str]) -> EndpointSlice {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|text| {
            let (text, is_draining) = text.strip_suffix('!').map_or((*text, false), |text| (text, true));
            let (address, node) = text.split_once('@').unwrap_or((text, "n1"));
            json!({"addresses": [address], "nodeName": node,
                   "conditions": {"ready": !is_draining, "serving": true, "terminating": is_draining}})
        })
        .collect();
    let value = json!({
        "metadata": {"name": format!("{service}-1"), "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
    });
    serde_json::from_value(value).expect("slice")
}

fn node() -> NodeView {
    NodeView {
        name: "n1".into(),
        cluster_cidr: Some("10.244.0.0/16".parse().expect("range")),
        own_service_addresses: vec!["10.96.0.10".parse().expect("address")],
    }
}

pub fn world(services: &[Service], slices: &[EndpointSlice]) -> Model {
    let mut model = Model::default();
    for service in services {
        let name = format!("default/{}", service.metadata.name.as_deref().expect("name"));
        let own = slices.iter().filter(|slice| service_of(slice).as_deref() == Some(name.as_str()));
        model.merge(&plan(service, own, &node()));
    }
    model
}

fn web(extra: Value) -> Value {
    let mut spec = json!({"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"],
                          "ports": [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]});
    for (key, value) in extra.as_object().expect("map") {
        spec[key] = value.clone();
    }
    spec
}

fn http() -> Value {
    json!([{"name": "http", "port": 8080, "protocol": "TCP"}])
}

/// Name and model of every golden file, in an order in which each follows from the one before.
fn worlds() -> Vec<(&'static str, Model)> {
    let pods = ["10.244.0.5", "10.244.0.6", "10.244.1.7@n2"];
    let dns_spec =
        json!({"clusterIP": "10.96.2.2", "ports": [{"name": "q", "port": 5353, "protocol": "UDP"}]});
    let dns_ports = json!([{"name": "q", "port": 53, "protocol": "UDP"}]);
    let own = json!({"clusterIP": "10.96.0.10", "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]});
    vec![
        ("node_port", world(&[service("web", web(json!({})))], &[slice("web", http(), &pods)])),
        ("one_endpoint_less", world(&[service("web", web(json!({})))], &[slice("web", http(), &pods[1..])])),
        (
            "affinity",
            world(
                &[service(
                    "web",
                    web(
                        json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}),
                    ),
                )],
                &[slice("web", http(), &pods[..2])],
            ),
        ),
        (
            "no_endpoints",
            world(
                &[service("web", web(json!({}))), service("kube-dns", own.clone())],
                &[slice("web", http(), &[])],
            ),
        ),
        (
            "draining_endpoints_serve_when_no_other_does",
            world(
                &[service("web", web(json!({})))],
                &[slice("web", http(), &["10.244.0.5!", "10.244.0.6!"])],
            ),
        ),
        (
            "local_traffic_policies",
            world(
                &[service(
                    "web",
                    web(json!({"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"})),
                )],
                &[slice("web", http(), &pods)],
            ),
        ),
        (
            "local_policies_without_local_endpoints",
            world(
                &[service(
                    "web",
                    web(json!({"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"})),
                )],
                &[slice("web", http(), &["10.244.1.7@n2"])],
            ),
        ),
        (
            "load_balancer_and_external_ips",
            world(
                &[balanced(
                    "web",
                    web(
                        json!({"externalIPs": ["192.0.2.80"], "loadBalancerSourceRanges": ["198.51.100.0/24"]}),
                    ),
                    &["203.0.113.9"],
                )],
                &[slice("web", http(), &pods)],
            ),
        ),
        ("udp", world(&[service("names", dns_spec)], &[slice("names", dns_ports, &pods[..2])])),
        ("nothing", Model::default()),
    ]
}

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/proxy/testdata").join(format!("{name}.nft"))
}

#[test]
fn each_world_is_a_golden_transaction() {
    let mut before = Model::default();
    for (name, model) in worlds() {
        let transaction = diff::transaction(&before, &model);
        let text =
            format!("{}# then, when nothing refers to them:\n{}", transaction.change, transaction.cleanup);
        expect_file![testdata(name)].assert_eq(&text);
        before = model;
    }
}

#[test]
fn equal_worlds_need_no_transaction() {
    for (name, model) in worlds() {
        assert_eq!(diff::transaction(&model, &model), diff::Transaction::default(), "{name}");
        assert!(conntrack::flushes(&model, &model).is_empty(), "{name}");
    }
}

#[test]
fn vanished_udp_endpoints_are_forgotten() {
    let spec = json!({"clusterIP": "10.96.2.2", "ports": [{"name": "q", "port": 53, "protocol": "UDP", "nodePort": 30053}]});
    let ports = json!([{"name": "q", "port": 53, "protocol": "UDP"}]);
    let at = |endpoints: &[&str]| {
        world(&[service("names", spec.clone())], &[slice("names", ports.clone(), endpoints)])
    };
    let flushes = conntrack::flushes(&at(&["10.244.0.5", "10.244.0.6"]), &at(&["10.244.0.6"]));
    let lines: Vec<String> = flushes.iter().map(|flush| flush.0.join(" ")).collect();
    assert_eq!(
        lines,
        [
            "-D -p udp --orig-dst 10.96.2.2 --dport 53 --dst-nat 10.244.0.5",
            "-D -p udp --dport 30053 --dst-nat 10.244.0.5"
        ]
    );
    let first = conntrack::flushes(&at(&[]), &at(&["10.244.0.6"]));
    assert_eq!(first.len(), 1, "flows from before the first endpoint");
}

#[test]
fn a_front_claimed_twice_stays_with_the_first() {
    let spec = web(json!({}));
    let model = world(
        &[service("a", spec.clone()), service("b", spec)],
        &[slice("a", http(), &["10.244.0.5"]), slice("b", http(), &["10.244.0.6"])],
    );
    assert_eq!(model.service_ips.len(), 1);
    assert!(model.service_ips.values().all(|chain| chain.ends_with("default/a/tcp/http")));
}

#[test]
fn other_modes_are_refused_in_one_sentence() {
    let error = "iptables".parse::<ProxyMode>().expect_err("not available");
    assert_eq!(
        error.to_string(),
        "proxy mode \"iptables\" is not available: this node agent programs services with nftables only"
    );
    assert_eq!("nftables".parse::<ProxyMode>().expect("default"), ProxyMode::Nftables);
}

/// Runs nft in its own network namespace; None where that is not possible.
struct Kernel {
    namespace: String,
}

impl Kernel {
    fn new() -> Option<Self> {
        let namespace = format!("balsa-proxy-test-{}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &namespace]).stderr(Stdio::null()).status();
        made.is_ok_and(|status| status.success()).then_some(Self { namespace })
    }

    fn load(&self, text: &str) -> String {
        use std::io::Write;
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.namespace, "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ip runs");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
        String::from_utf8(child.wait_with_output().expect("ends").stderr).expect("UTF-8")
    }

    fn list(&self) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.namespace, "nft", "list", "ruleset"])
            .output()
            .expect("ip runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // A namespace that stays behind does no harm, and a drop cannot report.
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}

#[test]
fn the_kernel_takes_every_transaction_and_ends_up_the_same() {
    let Some(kernel) = Kernel::new() else {
        eprintln!("no network namespace (not root): the kernel was not asked");
        return;
    };
    let mut before = Model::default();
    assert_eq!(kernel.load(&nft::rewrite(&before)), "");
    for (name, model) in worlds() {
        if diff::needs_rewrite(&before, &model) {
            assert_eq!(kernel.load(&nft::rewrite(&model)), "", "{name}");
        } else {
            let transaction = diff::transaction(&before, &model);
            assert_eq!(kernel.load(&transaction.change), "", "{name}");
            assert_eq!(kernel.load(&transaction.cleanup), "", "cleanup after {name}");
        }
        let incremental = sorted(&kernel.list());
        assert_eq!(kernel.load(&nft::rewrite(&model)), "", "rewrite of {name}");
        assert_eq!(incremental, sorted(&kernel.list()), "{name}: differences and rewrite must agree");
        before = model;
    }
    assert_eq!(kernel.load(&nft::removal()), "");
    assert_eq!(kernel.list(), "");
}

/// Chains are listed in the order in which they were made, which does not matter.
fn sorted(ruleset: &str) -> Vec<String> {
    let inside = ruleset.trim_end().trim_end_matches('}');
    let mut blocks: Vec<String> = inside.split("\n\n").map(|block| block.trim().to_owned()).collect();
    blocks.sort();
    blocks
}
