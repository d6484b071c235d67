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
        dns_address: None,
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

/// A network namespace that is entered by this thread alone.
fn enter_fresh_namespace() -> bool {
    use nix::sched::{CloneFlags, unshare};
    unshare(CloneFlags::CLONE_NEWNET).is_ok()
}

fn ip(arguments: &str) -> String {
    let output = std::process::Command::new("ip").args(arguments.split(' ')).output().expect("ip runs");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn routes_and_the_dns_address_reach_the_kernel() {
    // A thread of its own: the namespace must not outlive the test on a thread that others use.
    let worker = std::thread::spawn(|| {
        if !enter_fresh_namespace() {
            eprintln!("no network namespace (not root): the kernel was not asked");
            return;
        }
        ip("link set lo up");
        ip("link add eth0 type veth peer name other");
        ip("addr add 192.168.1.1/24 dev eth0");
        ip("link set eth0 up");
        ip("link set other up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let table = |pairs: &[(&str, &str)]| -> routes::RouteTable {
                let parse = |(range, via): &(&str, &str)| {
                    (range.parse().expect("range"), via.parse().expect("address"))
                };
                pairs.iter().map(parse).collect()
            };
            let mut first = routes::Routes::open().expect("netlink");
            first.look().await.expect("listed");
            first
                .apply(&table(&[("10.244.1.0/24", "192.168.1.2"), ("10.244.2.0/24", "192.168.1.3")]))
                .await
                .expect("set");
            // A later run finds them and moves one, drops one.
            let mut second = routes::Routes::open().expect("netlink");
            second.look().await.expect("listed");
            second.apply(&table(&[("10.244.1.0/24", "192.168.1.4")])).await.expect("changed");
            super::ensure_local_address([10, 96, 0, 10].into()).await.expect("address");
            super::ensure_local_address([10, 96, 0, 10].into()).await.expect("address, again");
        });
        assert_eq!(ip("route show proto 98").trim(), "10.244.1.0/24 via 192.168.1.4 dev eth0");
        assert!(ip("addr show dev lo").contains("inet 10.96.0.10/32"));
        ip("link add balsa0 type bridge");
        let directory = tempfile::tempdir().expect("directory");
        let config = NetworkConfig {
            cni_config_directory: directory.path().to_owned(),
            dns_address: Some([10, 96, 0, 10].into()),
            ..config()
        };
        // Twice: what is gone already is no error.
        runtime.block_on(super::remove(&config)).expect("removed");
        runtime.block_on(super::remove(&config)).expect("removed, again");
        assert_eq!(ip("route show proto 98"), "");
        assert!(!ip("addr show dev lo").contains("10.96.0.10") && !ip("link show").contains("balsa0"));
    });
    worker.join().expect("worker");
}
