//! Two models → the transaction that leads from one to the other.
//!
//! Order inside: new sets and chains, rules, then the maps that send traffic to them. What nothing refers to any
//! more goes in a second transaction ([`Transaction::cleanup`]), which may fail and be tried again later: kernels
//! can call a chain busy within the transaction that dropped its last reference.

use super::model::Model;
use super::nft;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Empty if nothing changes.
    pub change: String,
    pub cleanup: String,
}

pub fn transaction(old: &Model, new: &Model) -> Transaction {
    let mut change = String::new();
    add_sets_and_chains(&mut change, old, new);
    change_rules(&mut change, old, new);
    change_elements(&mut change, old, new);
    let mut cleanup = String::new();
    for chain in old.chains.keys().filter(|name| !new.chains.contains_key(*name)) {
        nft::flush_chain(&mut change, chain);
        nft::delete_chain(&mut cleanup, chain);
    }
    for set in old.affinity_seconds.keys().filter(|name| !new.affinity_seconds.contains_key(*name)) {
        nft::delete_set(&mut cleanup, set);
    }
    Transaction { change, cleanup }
}

fn add_sets_and_chains(text: &mut String, old: &Model, new: &Model) {
    for (set, seconds) in &new.affinity_seconds {
        // A changed timeout needs the set to be made again, and with it all rules: the caller rewrites the table.
        if !old.affinity_seconds.contains_key(set) {
            nft::add_affinity_set(text, set, *seconds);
        }
    }
    for chain in new.chains.keys().filter(|name| !old.chains.contains_key(*name)) {
        nft::add_chain(text, chain);
    }
}

fn change_rules(text: &mut String, old: &Model, new: &Model) {
    for (chain, rules) in &new.chains {
        match old.chains.get(chain) {
            Some(known) if known == rules => {}
            Some(_) => {
                nft::flush_chain(text, chain);
                nft::add_rules(text, chain, rules);
            }
            None => nft::add_rules(text, chain, rules),
        }
    }
}

fn change_elements(text: &mut String, old: &Model, new: &Model) {
    let goto = |chain: &String| format!("goto {chain}");
    nft::change_set(
        text,
        "cluster-ips",
        old.cluster_ips.difference(&new.cluster_ips),
        new.cluster_ips.difference(&old.cluster_ips),
    );
    nft::change_map(text, "service-ips", (&old.service_ips, &new.service_ips), goto);
    nft::change_map(text, "service-nodeports", (&old.service_node_ports, &new.service_node_ports), goto);
    nft::change_map(
        text,
        "no-endpoint-services",
        (&old.no_endpoint_ips, &new.no_endpoint_ips),
        ToString::to_string,
    );
    nft::change_map(
        text,
        "no-endpoint-nodeports",
        (&old.no_endpoint_node_ports, &new.no_endpoint_node_ports),
        ToString::to_string,
    );
    nft::change_map(text, "firewall-ips", (&old.firewall_ips, &new.firewall_ips), goto);
}

/// Whether a set would have to change its type, which only a rewrite can do.
pub fn needs_rewrite(old: &Model, new: &Model) -> bool {
    new.affinity_seconds
        .iter()
        .any(|(set, seconds)| old.affinity_seconds.get(set).is_some_and(|known| known != seconds))
}
