//! NodePorts: a host port serves one pod.

use super::{Filter, reason};
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::{HostPort, NodeInfo};

pub const FILTER: Filter = Filter { name: "NodePorts", reasons_against, helped_by_pods: false };

fn reasons_against(cycle: &Cycle<'_>, node: &NodeInfo) -> Vec<String> {
    let taken = |wanted: &HostPort| {
        node.pods.values().flat_map(|pod| &pod.host_ports).any(|taken| collide(wanted, taken))
    };
    let conflict = cycle.facts.host_ports.iter().any(taken);
    reason(conflict, "node(s) didn't have free ports for the requested pod ports")
}

/// The same port and protocol, on the same address or on all.
fn collide(a: &HostPort, b: &HostPort) -> bool {
    const ALL: &str = "0.0.0.0";
    a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || a.ip == ALL || b.ip == ALL)
}
