//! Pods talk to the outside with the node's address, and to each other with their own.

use ipnet::Ipv4Net;

use super::cni::BRIDGE;

/// Replaces our table with the rule for this pod range.
pub fn rules(pod_cidr: Ipv4Net, cluster_cidr: Ipv4Net) -> String {
    format!(
        "add table ip balsa-network\n\
         delete table ip balsa-network\n\
         add table ip balsa-network {{ comment \"pods to the outside\"; }}\n\
         add chain ip balsa-network postrouting {{ type nat hook postrouting priority 100; }}\n\
         add rule ip balsa-network postrouting ip saddr {pod_cidr} ip daddr != {{ {cluster_cidr}, 224.0.0.0/4 }} \
         oifname != \"{BRIDGE}\" masquerade fully-random\n"
    )
}

pub fn removal() -> &'static str {
    "add table ip balsa-network\ndelete table ip balsa-network\n"
}
