//! Real connections through real rules: a node, two pods on its bridge and a client outside, as network namespaces.
//!
//! Needs root and a kernel with bridge netfilter; elsewhere it says so and passes.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use serde_json::{Value, json};

use super::nft;
use super::proxy_test::{service, slice, world};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const POD_PORT: u16 = 8080;

/// The namespaces of one test; deleted when it ends.
struct Net {
    prefix: String,
}

impl Net {
    fn new() -> Option<Self> {
        if !Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists() {
            return None;
        }
        let net = Self { prefix: format!("balsa-traffic-{}", std::process::id()) };
        let made =
            ["node", "pod1", "pod2", "outside"].map(|host| ip(&format!("netns add {}", net.name(host))));
        made.iter().all(|is_made| *is_made).then_some(net)
    }

    fn name(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    fn wire(&self) {
        let (node, outside) = (self.name("node"), self.name("outside"));
        self.ip("node", "link set lo up");
        self.ip("node", "link add balsa0 type bridge");
        self.ip("node", "addr add 10.244.0.1/24 dev balsa0");
        self.ip("node", "link set balsa0 up");
        for (pod, address) in [("pod1", "10.244.0.5"), ("pod2", "10.244.0.6")] {
            self.ip("node", &format!("link add {pod} type veth peer name eth0 netns {}", self.name(pod)));
            self.ip("node", &format!("link set {pod} master balsa0 up"));
            self.ip("node", &format!("link set {pod} type bridge_slave hairpin on"));
            self.ip(pod, &format!("addr add {address}/24 dev eth0"));
            self.ip(pod, "link set eth0 up");
            self.ip(pod, "route add default via 10.244.0.1");
        }
        assert!(ip(&format!("-n {node} link add eth0 type veth peer name eth0 netns {outside}")));
        for (host, address) in [("node", "192.0.2.2"), ("outside", "192.0.2.9")] {
            self.ip(host, &format!("addr add {address}/24 dev eth0"));
            self.ip(host, "link set eth0 up");
        }
        self.ip("node", "route add default via 192.0.2.9");
        self.within("node", || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding"));
    }

    fn ip(&self, host: &str, arguments: &str) {
        assert!(ip(&format!("-n {} {arguments}", self.name(host))), "ip {arguments} in {host}");
    }

    /// Runs `work` on a thread of its own in the namespace of `host`.
    fn within<R: Send>(&self, host: &str, work: impl FnOnce() -> R + Send) -> R {
        let namespace = File::open(Path::new("/run/netns").join(self.name(host))).expect("namespace");
        thread::scope(|scope| {
            let worker = scope.spawn(move || {
                setns(namespace, CloneFlags::CLONE_NEWNET).expect("entered");
                work()
            });
            worker.join().expect("worker")
        })
    }

    /// A pod that tells each client its name and where the client seems to come from.
    fn serve(&self, pod: &'static str) {
        let listener =
            self.within(pod, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, POD_PORT)).expect("bound"));
        thread::spawn(move || {
            while let Ok((mut stream, peer)) = listener.accept() {
                // A client that went away is not the server's trouble.
                let _ = stream.write_all(format!("{pod} saw {}", peer.ip()).as_bytes());
            }
        });
    }

    fn load(&self, text: &str) {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.name("node"), "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("ip runs");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
        assert!(child.wait().expect("ends").success());
    }

    /// The distinct answers to `count` connections, sorted.
    fn ask(&self, host: &str, address: &str, count: usize) -> Vec<String> {
        let address: SocketAddr = address.parse().expect("address");
        let mut answers = self.within(host, || (0..count).map(|_| fetch(address)).collect::<Vec<_>>());
        answers.sort();
        answers.dedup();
        answers
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for host in ["node", "pod1", "pod2", "outside"] {
            ip(&format!("netns del {}", self.name(host)));
        }
    }
}

fn ip(arguments: &str) -> bool {
    let status = Command::new("ip").args(arguments.split_whitespace()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn fetch(address: SocketAddr) -> String {
    match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
        Ok(mut stream) => {
            stream.set_read_timeout(Some(CONNECT_TIMEOUT)).expect("timeout set");
            let mut text = String::new();
            stream.read_to_string(&mut text).map_or_else(|error| error.kind().to_string(), |_| text)
        }
        Err(error) => error.kind().to_string(),
    }
}

fn spec(cluster_ip: &str, node_port: u16, extra: Value) -> Value {
    let mut spec =
        json!({"clusterIP": cluster_ip, "ports": [{"name": "http", "port": 80, "nodePort": node_port}]});
    for (key, value) in extra.as_object().expect("map") {
        spec[key] = value.clone();
    }
    spec
}

#[test]
fn connections_reach_the_pods_that_the_rules_say() {
    let Some(net) = Net::new() else {
        eprintln!("no network namespaces or no bridge netfilter: nothing was sent");
        return;
    };
    net.wire();
    net.serve("pod1");
    net.serve("pod2");
    let ports = json!([{"name": "http", "port": POD_PORT}]);
    let both = ["10.244.0.5", "10.244.0.6"];
    let services = [
        service("web", spec("10.96.1.1", 30080, json!({}))),
        service("sticky", spec("10.96.1.3", 30083, json!({"sessionAffinity": "ClientIP"}))),
        service("empty", spec("10.96.1.2", 30081, json!({}))),
        service("far", spec("10.96.1.4", 30084, json!({"externalTrafficPolicy": "Local"}))),
    ];
    let slices = [
        slice("web", ports.clone(), &both),
        slice("sticky", ports.clone(), &both),
        slice("far", ports, &["10.244.0.5@n2", "10.244.0.6@n1"]),
    ];
    net.load(&nft::rewrite(&world(&services, &slices)));

    // From, to, connections, who answers and whom it sees. Sixteen connections miss one of two pods once in 32768 runs.
    let refused = ["connection refused"];
    let table: [(&str, &str, usize, &[&str]); 10] = [
        ("pod1", "10.96.1.1:80", 16, &["pod1 saw 10.244.0.1", "pod2 saw 10.244.0.5"]),
        ("node", "10.96.1.1:80", 16, &["pod1 saw 10.244.0.1", "pod2 saw 10.244.0.1"]),
        ("outside", "192.0.2.2:30080", 16, &["pod1 saw 10.244.0.1", "pod2 saw 10.244.0.1"]),
        ("outside", "192.0.2.2:30084", 8, &["pod2 saw 192.0.2.9"]),
        ("pod1", "10.244.0.6:8080", 1, &["pod2 saw 10.244.0.5"]),
        ("pod1", "10.96.1.2:80", 1, &refused),
        ("node", "10.96.1.2:80", 1, &refused),
        ("outside", "192.0.2.2:30081", 1, &refused),
        ("pod1", "10.96.1.1:81", 1, &refused),
        ("node", "10.96.1.1:81", 1, &refused),
    ];
    for (from, to, count, expected) in table {
        assert_eq!(net.ask(from, to, count), expected, "{from} to {to}");
    }
    assert_eq!(net.ask("pod1", "10.96.1.3:80", 12).len(), 1, "a client with affinity stays with one pod");

    // One endpoint goes: new connections find the other, by a transaction of differences alone.
    let fewer = [
        slice("web", json!([{"name": "http", "port": POD_PORT}]), &both[1..]),
        slices[1].clone(),
        slices[2].clone(),
    ];
    let (before, after) = (world(&services, &slices), world(&services, &fewer));
    net.load(&super::diff::transaction(&before, &after).change);
    assert_eq!(net.ask("pod1", "10.96.1.1:80", 8), ["pod2 saw 10.244.0.5"]);
}
