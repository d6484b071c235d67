//! Decisions: each filter and score as a small cluster in, the chosen node or the stock message out.

use std::sync::Arc;

use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::plan::{Cycle, plan};
use super::score::SCORES;
use super::snapshot::{NodeInfo, PodFacts, Snapshot};

/// A node of 4 CPUs, 8 GiB and 10 pods, with a hostname label and one of `zone`.
fn node(name: &str, zone: &str, spec: Value) -> Value {
    let offered = json!({ "cpu": "4", "memory": "8Gi", "pods": "10" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "zone": zone } },
        "spec": spec,
        "status": { "allocatable": offered },
    })
}

fn pod(name: &str, spec: Value) -> Arc<PodFacts> {
    labelled(name, json!({ "app": name }), spec)
}

fn labelled(name: &str, labels: Value, mut spec: Value) -> Arc<PodFacts> {
    if spec["containers"].is_null() {
        spec["containers"] = json!([{ "name": "c" }]);
    }
    let meta = json!({ "name": name, "uid": name, "namespace": "default", "labels": labels });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec });
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    Arc::new(PodFacts::new(Arc::new(pod)))
}

fn asking(cpu: &str, memory: &str) -> Value {
    json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": cpu, "memory": memory } } }] })
}

fn snapshot(nodes: &[Value], pods: &[(&Arc<PodFacts>, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        snapshot.put_node(Arc::new(serde_json::from_value(node.clone()).expect("a node")));
    }
    for (facts, node) in pods {
        snapshot.put_pod((*facts).clone(), node);
    }
    snapshot
}

#[track_caller]
fn check(facts: &PodFacts, snapshot: &Snapshot, expected: Expect) {
    let text = plan(facts, snapshot, 0).unwrap_or_else(|unfit| unfit.to_string());
    expected.assert_eq(&text);
}

#[test]
fn nodes_that_are_not_there_or_cordoned() {
    check(&pod("p", json!({})), &snapshot(&[], &[]), expect!["no nodes available to schedule pods"]);
    let cordoned = [node("a", "z", json!({ "unschedulable": true }))];
    check(
        &pod("p", json!({})),
        &snapshot(&cordoned, &[]),
        expect!["0/1 nodes are available: 1 node(s) were unschedulable."],
    );
    let tolerant = json!({ "tolerations": [{ "operator": "Exists" }] });
    check(&pod("p", tolerant), &snapshot(&cordoned, &[]), expect!["a"]);
}

#[test]
fn taints() {
    let taint = |effect: &str| json!({ "taints": [{ "key": "k", "value": "v", "effect": effect }] });
    let one = snapshot(&[node("a", "z", taint("NoSchedule"))], &[]);
    check(
        &pod("p", json!({})),
        &one,
        expect!["0/1 nodes are available: 1 node(s) had untolerated taint {k: v}."],
    );
    let equal =
        json!({ "tolerations": [{ "key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule" }] });
    check(&pod("p", equal), &one, expect!["a"]);
    let two = snapshot(&[node("a", "z", taint("PreferNoSchedule")), node("b", "z", json!({}))], &[]);
    check(&pod("p", json!({})), &two, expect!["b"]);
}

#[test]
fn resources() {
    let one = snapshot(&[node("a", "z", json!({}))], &[]);
    check(&pod("p", asking("4", "8Gi")), &one, expect!["a"]);
    check(&pod("p", asking("4001m", "1Gi")), &one, expect!["0/1 nodes are available: 1 Insufficient cpu."]);
    check(
        &pod("p", asking("5", "9Gi")),
        &one,
        expect!["0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."],
    );
    let big = pod("big", asking("3", "1Gi"));
    let used = snapshot(&[node("a", "z", json!({})), node("b", "z", json!({}))], &[(&big, "a")]);
    check(&pod("p", asking("2", "1Gi")), &used, expect!["b"]);
    let gpu =
        json!({ "containers": [{ "name": "c", "resources": { "requests": { "example.com/gpu": "1" } } }] });
    check(&pod("p", gpu), &one, expect!["0/1 nodes are available: 1 Insufficient example.com/gpu."]);
}

#[test]
fn a_node_holds_so_many_pods() {
    let pods: Vec<_> = (0..10).map(|number| pod(&format!("p{number}"), json!({}))).collect();
    let placed: Vec<_> = pods.iter().map(|facts| (facts, "a")).collect();
    let full = snapshot(&[node("a", "z", json!({}))], &placed);
    check(&pod("p", json!({})), &full, expect!["0/1 nodes are available: 1 Too many pods."]);
}

#[test]
fn start_may_be_the_hungriest_moment() {
    let container = |name: &str, cpu: &str, policy: Value| json!({ "name": name, "restartPolicy": policy, "resources": { "requests": { "cpu": cpu } } });
    let spec = json!({
        "initContainers": [container("sidecar", "1", json!("Always")), container("init", "3", Value::Null)],
        "containers": [container("c", "1", Value::Null)],
    });
    assert_eq!(pod("p", spec).requests.get("cpu"), 4000);
}

#[test]
fn node_affinity_and_selector() {
    let two = snapshot(&[node("a", "east", json!({})), node("b", "west", json!({}))], &[]);
    check(&pod("p", json!({ "nodeSelector": { "zone": "west" } })), &two, expect!["b"]);
    check(
        &pod("p", json!({ "nodeSelector": { "zone": "north" } })),
        &two,
        expect!["0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."],
    );
    let rule = json!({ "key": "zone", "operator": "NotIn", "values": ["east"] });
    let required = json!({ "nodeSelectorTerms": [{ "matchExpressions": [rule] }] });
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } });
    check(&pod("p", json!({ "affinity": affinity })), &two, expect!["b"]);
    let rule = json!({ "key": "zone", "operator": "In", "values": ["west"] });
    let preferred = json!([{ "weight": 1, "preference": { "matchExpressions": [rule] } }]);
    let affinity =
        json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": preferred } });
    check(&pod("p", json!({ "affinity": affinity })), &two, expect!["b"]);
    let field = json!({ "key": "metadata.name", "operator": "In", "values": ["b"] });
    let required = json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } });
    check(&pod("p", json!({ "affinity": affinity })), &two, expect!["b"]);
}

#[test]
fn host_ports() {
    let spec = |ip: &str| json!({ "containers": [{ "name": "c", "ports": [{ "containerPort": 80, "hostPort": 80, "hostIP": ip }] }] });
    let holder = pod("holder", spec("127.0.0.1"));
    let one = snapshot(&[node("a", "z", json!({}))], &[(&holder, "a")]);
    check(&pod("p", spec("127.0.0.2")), &one, expect!["a"]);
    check(
        &pod("p", spec("")),
        &one,
        expect!["0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."],
    );
}

fn near(kind: &str, app: &str) -> Value {
    let term = json!({ "topologyKey": "zone", "labelSelector": { "matchLabels": { "app": app } } });
    json!({ "affinity": { kind: { "requiredDuringSchedulingIgnoredDuringExecution": [term] } } })
}

#[test]
fn pod_affinity() {
    let friend = pod("friend", json!({}));
    let nodes = [node("a", "east", json!({})), node("b", "west", json!({}))];
    let two = snapshot(&nodes, &[(&friend, "b")]);
    check(&pod("p", near("podAffinity", "friend")), &two, expect!["b"]);
    check(&pod("p", near("podAntiAffinity", "friend")), &two, expect!["a"]);
    check(
        &pod("p", near("podAffinity", "nobody")),
        &two,
        expect!["0/2 nodes are available: 2 node(s) didn't match pod affinity rules."],
    );
    check(&pod("first", near("podAffinity", "first")), &two, expect!["a"]);
    let hermit = pod("hermit", near("podAntiAffinity", "p"));
    let lonely = snapshot(&nodes[..1], &[(&hermit, "a")]);
    check(
        &pod("p", json!({})),
        &lonely,
        expect!["0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."],
    );
}

#[test]
fn topology_spread() {
    let constraint = json!([{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "web" } },
    }]);
    let web = |name: &str| {
        labelled(name, json!({ "app": "web" }), json!({ "topologySpreadConstraints": constraint.clone() }))
    };
    let (one, two) = (web("w1"), web("w2"));
    let nodes = [node("a", "east", json!({})), node("b", "west", json!({}))];
    check(&web("w3"), &snapshot(&nodes, &[(&one, "a")]), expect!["b"]);
    let cordoned = [nodes[0].clone(), node("b", "west", json!({ "unschedulable": true }))];
    check(
        &web("w3"),
        &snapshot(&cordoned, &[(&one, "a"), (&two, "a")]),
        expect![
            "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable."
        ],
    );
}

#[test]
fn scores_of_a_half_full_and_an_empty_node() {
    let busy = pod("busy", asking("2", "1Gi"));
    let mut full = node("full", "z", json!({}));
    full["status"]["images"] = json!([{ "names": ["busybox:latest"], "sizeBytes": 2_000_000_000_i64 }]);
    let snapshot = snapshot(&[node("empty", "z", json!({})), full], &[(&busy, "full")]);
    let spec = json!({ "containers": [{ "name": "c", "image": "busybox", "resources": { "requests": { "cpu": "1", "memory": "2Gi" } } }] });
    let facts = pod("p", spec);
    let cycle = Cycle::new(&facts, &snapshot);
    let nodes: Vec<&NodeInfo> = snapshot.nodes().collect();
    let lines: Vec<_> =
        SCORES.iter().map(|score| format!("{} {:?}", score.name, score.all(&cycle, &nodes))).collect();
    expect![[r#"
        TaintToleration [300, 300]
        NodeAffinity [0, 0]
        NodeResourcesFit [75, 43]
        PodTopologySpread [200, 200]
        InterPodAffinity [0, 0]
        NodeResourcesBalancedAllocation [100, 81]
        ImageLocality [0, 95]"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_pod_that_left_gives_its_room_back() {
    let big = pod("big", asking("4", "8Gi"));
    let mut one = snapshot(&[node("a", "z", json!({}))], &[(&big, "a")]);
    check(
        &pod("p", asking("1", "1Gi")),
        &one,
        expect!["0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."],
    );
    one.remove_pod("big");
    check(&pod("p", asking("1", "1Gi")), &one, expect!["a"]);
}
