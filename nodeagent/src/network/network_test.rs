//! The CNI file as it is written, and which routes a set of nodes asks for.

use std::path::PathBuf;

use expect_test::expect;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::cni::{Wiring, conflist};
use super::{NetworkConfig, masquerade, routes};

fn config() -> NetworkConfig {
    NetworkConfig {
        node_name: "n1".into(),
        cni_config_directory: PathBuf::from("/etc/cni/net.d"),
        cni_state_directory: PathBuf::from("/var/lib/balsa/cni"),
        cluster_cidr: None,
    }
}

#[test]
fn conflist_names_the_pod_range() {
    let pod_cidr = "10.244.1.0/24".parse().expect("range");
    let text = conflist(Wiring::Bridge, pod_cidr, &config());
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let plugin = &value["plugins"][0];
    assert_eq!(plugin["type"], "bridge");
    assert_eq!(plugin["bridge"], "balsa0");
    assert_eq!(plugin["hairpinMode"], true);
    assert_eq!(plugin["ipMasq"], false);
    assert_eq!(plugin["ipam"]["ranges"], json!([[{"subnet": "10.244.1.0/24"}]]));
    assert_eq!(plugin["ipam"]["dataDir"], "/var/lib/balsa/cni");
    assert_eq!(value["plugins"][1]["type"], "portmap");
    let value: serde_json::Value =
        serde_json::from_str(&conflist(Wiring::PointToPoint, pod_cidr, &config())).expect("JSON");
    assert_eq!(value["plugins"][0]["type"], "ptp");
}

#[test]
fn pods_are_masqueraded_only_to_the_outside() {
    let text =
        masquerade::rules("10.244.1.0/24".parse().expect("range"), "10.244.0.0/16".parse().expect("range"));
    expect![[r#"
        add table ip balsa-network
        delete table ip balsa-network
        add table ip balsa-network { comment "pods to the outside"; }
        add chain ip balsa-network postrouting { type nat hook postrouting priority 100; }
        add rule ip balsa-network postrouting ip saddr 10.244.1.0/24 ip daddr != { 10.244.0.0/16, 224.0.0.0/4 } oifname != "balsa0" masquerade fully-random
    "#]]
    .assert_eq(&text);
}

#[test]
fn other_nodes_with_range_and_address_get_a_route() {
    let node = |name: &str, range: Option<&str>, address: Option<&str>| -> Node {
        let mut value = json!({"metadata": {"name": name}, "spec": {}, "status": {"addresses": []}});
        if let Some(range) = range {
            value["spec"]["podCIDR"] = range.into();
        }
        if let Some(address) = address {
            value["status"]["addresses"] =
                json!([{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]);
        }
        serde_json::from_value(value).expect("node")
    };
    let nodes = [
        node("n1", Some("10.244.0.0/24"), Some("192.168.1.1")),
        node("n2", Some("10.244.1.0/24"), Some("192.168.1.2")),
        node("n3", None, Some("192.168.1.3")),
        node("n4", Some("10.244.3.0/24"), None),
    ];
    let table = routes::wanted(nodes.iter(), "n1");
    let lines: Vec<String> = table.iter().map(|(range, via)| format!("{range} via {via}")).collect();
    assert_eq!(lines, ["10.244.1.0/24 via 192.168.1.2"]);
}
