//! The command line of each part on its machine: the flags that the stock component has, nothing of the lab's own.

use std::net::Ipv4Addr;
use std::path::Path;

use balsa_apiserver::pki::Part;

use super::init::DATA;
use super::topology::{Kind, MachinePlan, Role, Topology};

pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// The first address of the service range: the `kubernetes` Service.
pub const FIRST_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
pub const CLUSTER_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const SERVICE_RANGE: &str = "10.96.0.0/16";
const POD_RANGE: &str = "10.244.0.0/16";
const API_PORT: u16 = 6443;
const STORE_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;
/// The folder that is the store's disk, below a machine's data.
pub const STORE_DISK: &str = "disk";
/// Below it the member's data.
pub const STORE_DATA: &str = "disk/store";

/// Arguments of `balsa`, and of `lab` for the balancer.
pub fn arguments(role: Role, machine: &MachinePlan, topology: &Topology) -> Vec<String> {
    let address = machine.address();
    let mut line = Line(vec![role.name().to_owned()]);
    match role {
        Role::Store => store(&mut line, machine, topology),
        Role::Apiserver => apiserver(&mut line, machine, topology),
        Role::Controllers => {
            line.flag("kubeconfig", pki("controllers.kubeconfig"));
            line.flag("allocate-node-cidrs", true);
            line.flag("cluster-cidr", POD_RANGE);
            line.flag("root-ca-file", pki("ca.crt"));
        }
        Role::Scheduler => line.flag("kubeconfig", pki("scheduler.kubeconfig")),
        Role::Nodeagent => nodeagent(&mut line, machine),
        Role::Balancer => {
            line.flag("listen", format!("{address}:{API_PORT}"));
            line.flag("ca-file", pki("ca.crt"));
            for server in topology.addresses_of(Role::Apiserver) {
                line.flag("server", format!("{server}:{API_PORT}"));
            }
        }
    }
    line.0
}

fn store(line: &mut Line, machine: &MachinePlan, topology: &Topology) {
    let (client, peer) = (store_url(machine.address()), peer_url(machine.address()));
    let members: Vec<_> = topology
        .machines()
        .iter()
        .filter(|plan| plan.roles.contains(&Role::Store))
        .map(|plan| format!("{}={}", plan.name, peer_url(plan.address())))
        .collect();
    line.flag("name", &machine.name);
    line.flag("data-dir", format!("{DATA}/{STORE_DATA}"));
    line.flag("listen-client-urls", format!("{client},{}", store_url(Ipv4Addr::LOCALHOST)));
    line.flag("advertise-client-urls", &client);
    line.flag("listen-peer-urls", &peer);
    line.flag("initial-advertise-peer-urls", &peer);
    line.flag("initial-cluster", members.join(","));
    line.files(Part::Store);
    line.flag("client-cert-auth", true);
    line.flag("peer-client-cert-auth", true);
}

fn apiserver(line: &mut Line, machine: &MachinePlan, topology: &Topology) {
    // Beside a member, an apiserver uses that one alone; away from all, it uses all.
    let stores = match topology.kind {
        Kind::Stacked => vec![Ipv4Addr::LOCALHOST],
        Kind::External | Kind::Store => topology.addresses_of(Role::Store),
    };
    line.flag("etcd-servers", stores.into_iter().map(store_url).collect::<Vec<_>>().join(","));
    line.files(Part::StoreClient);
    line.flag("secure-port", API_PORT);
    line.flag("advertise-address", machine.address());
    line.flag("cert-dir", format!("{DATA}/pki"));
    line.files(Part::Apiserver);
    line.flag("authorization-mode", "Node,RBAC");
    line.flag("service-cluster-ip-range", SERVICE_RANGE);
}

fn nodeagent(line: &mut Line, machine: &MachinePlan) {
    line.flag("kubeconfig", pki("nodeagent.kubeconfig"));
    line.flag("hostname-override", &machine.name);
    line.flag("node-ip", machine.address());
    line.flag("root-dir", format!("{DATA}/node"));
    line.flag("cluster-dns", CLUSTER_DNS);
    line.flag("cluster-domain", CLUSTER_DOMAIN);
    line.flag("cluster-cidr", POD_RANGE);
    line.files(Part::Nodeagent);
    // The machines share one disk, which their pods hardly use, whatever else is on it.
    line.flag("eviction-hard", "memory.available<100Mi,nodefs.available<1%");
    line.flag("resolv-conf", format!("{DATA}/resolv.conf"));
}

/// As a machine sees it.
fn pki(name: &str) -> String {
    format!("{DATA}/pki/{name}")
}

pub fn store_url(address: Ipv4Addr) -> String {
    format!("https://{address}:{STORE_PORT}")
}

pub fn peer_url(address: Ipv4Addr) -> String {
    format!("https://{address}:{PEER_PORT}")
}

/// A command line in the making.
struct Line(Vec<String>);

impl Line {
    fn flag(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("--{name}={value}"));
    }

    /// The certificates and keys that `part` reads.
    fn files(&mut self, part: Part) {
        for (name, file) in part.flags(&Path::new(DATA).join("pki")) {
            self.flag(name, file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Network;

    fn line(kind: Kind, name: &str, role: Role) -> String {
        let topology = Topology { kind, members: 3, workers: 1 };
        let machine = topology.machines().into_iter().find(|plan| plan.name == name).unwrap();
        arguments(role, &machine, &topology).join(" ")
    }

    #[test]
    fn a_stacked_apiserver_has_the_store_beside_it_and_an_external_one_has_all() {
        let stacked = line(Kind::Stacked, "m2", Role::Apiserver);
        assert!(stacked.contains("--etcd-servers=https://127.0.0.1:2379 "), "{stacked}");
        let external = line(Kind::External, "a1", Role::Apiserver);
        let all = Network::address(1).to_string();
        assert!(external.contains(&all) && external.matches(":2379").count() == 3, "{external}");
    }

    #[test]
    fn a_balancer_knows_every_apiserver() {
        assert_eq!(line(Kind::Stacked, "lb", Role::Balancer).matches("--server=").count(), 3);
        assert_eq!(line(Kind::External, "lb", Role::Balancer).matches("--server=").count(), 2);
    }
}
