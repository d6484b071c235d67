//! The network configuration that the container runtime hands to the CNI plugins.
//!
//! `bridge` where the kernel shows bridged packets to netfilter. Where it does not, a reply from a pod to its
//! neighbour would cross the bridge without its service address being put back, so `ptp` is used: then every
//! packet is routed.

use std::path::Path;

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::NetworkConfig;

pub const BRIDGE: &str = "balsa0";
pub const FILE_NAME: &str = "10-balsa.conflist";
/// Understood by every plugin set since 0.8; ours uses nothing newer.
const CNI_VERSION: &str = "0.4.0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    Bridge,
    PointToPoint,
}

impl Wiring {
    pub fn of_this_host() -> Self {
        if Path::new(super::sysctl::BRIDGE_NETFILTER).exists() { Self::Bridge } else { Self::PointToPoint }
    }
}

pub fn conflist(wiring: Wiring, pod_cidr: Ipv4Net, config: &NetworkConfig) -> String {
    let ipam = json!({
        "type": "host-local",
        "dataDir": config.cni_state_directory,
        "ranges": [[{"subnet": pod_cidr}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let wire = match wiring {
        Wiring::Bridge => json!({
            "type": "bridge", "bridge": BRIDGE, "isGateway": true,
            "hairpinMode": true, "ipMasq": false, "forceAddress": true, "ipam": ipam,
        }),
        Wiring::PointToPoint => json!({"type": "ptp", "ipMasq": false, "ipam": ipam}),
    };
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}, "snat": true});
    let list: Value = json!({"cniVersion": CNI_VERSION, "name": "balsa", "plugins": [wire, portmap]});
    format!("{list:#}\n")
}
