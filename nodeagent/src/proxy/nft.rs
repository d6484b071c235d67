//! Text for `nft -f -`: the fixed part of our table, and one line per changed thing.
//!
//! Every line is one command of one transaction: nft applies all or none.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Error;
use super::model::Model;

pub const TABLE: &str = "ip kube-proxy";

/// The chains and maps that do not depend on services. Priorities: checks run just before DNAT (-100), and the
/// check for unknown ports of ClusterIPs just after it. Bit 0x4000 of the mark asks for masquerading, as in stock.
const FIXED: &str = "\
add table ip kube-proxy { comment \"services of the cluster\"; }
delete table ip kube-proxy
add table ip kube-proxy { comment \"services of the cluster\"; }
add set ip kube-proxy cluster-ips { type ipv4_addr; }
add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
add map ip kube-proxy service-nodeports { type inet_proto . inet_service : verdict; }
add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
add map ip kube-proxy no-endpoint-nodeports { type inet_proto . inet_service : verdict; }
add map ip kube-proxy firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority -100; }
add chain ip kube-proxy nat-output { type nat hook output priority -100; }
add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority 100; }
add chain ip kube-proxy filter-prerouting { type filter hook prerouting priority -110; }
add chain ip kube-proxy filter-input { type filter hook input priority -110; }
add chain ip kube-proxy filter-forward { type filter hook forward priority -110; }
add chain ip kube-proxy filter-output { type filter hook output priority -110; }
add chain ip kube-proxy filter-output-post-dnat { type filter hook output priority -90; }
add chain ip kube-proxy services
add chain ip kube-proxy masquerading
add chain ip kube-proxy mark-for-masquerade
add chain ip kube-proxy reject-chain
add chain ip kube-proxy service-endpoints-check
add chain ip kube-proxy nodeport-endpoints-check
add chain ip kube-proxy firewall-check
add chain ip kube-proxy cluster-ips-check
add rule ip kube-proxy nat-prerouting jump services
add rule ip kube-proxy nat-output jump services
add rule ip kube-proxy nat-postrouting jump masquerading
add rule ip kube-proxy filter-prerouting ct state new jump firewall-check
add rule ip kube-proxy filter-input ct state new jump nodeport-endpoints-check
add rule ip kube-proxy filter-input ct state new jump service-endpoints-check
add rule ip kube-proxy filter-forward ct state new jump service-endpoints-check
add rule ip kube-proxy filter-forward ct state new jump cluster-ips-check
add rule ip kube-proxy filter-output ct state new jump service-endpoints-check
add rule ip kube-proxy filter-output ct state new jump firewall-check
add rule ip kube-proxy filter-output-post-dnat ct state new jump cluster-ips-check
add rule ip kube-proxy services ip daddr . meta l4proto . th dport vmap @service-ips
add rule ip kube-proxy services fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports
add rule ip kube-proxy masquerading meta mark and 0x4000 == 0 return
add rule ip kube-proxy masquerading meta mark set meta mark xor 0x4000
add rule ip kube-proxy masquerading masquerade fully-random
add rule ip kube-proxy mark-for-masquerade meta mark set meta mark or 0x4000
add rule ip kube-proxy reject-chain reject
add rule ip kube-proxy service-endpoints-check ip daddr . meta l4proto . th dport vmap @no-endpoint-services
add rule ip kube-proxy nodeport-endpoints-check fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @no-endpoint-nodeports
add rule ip kube-proxy firewall-check ip daddr . meta l4proto . th dport vmap @firewall-ips
add rule ip kube-proxy cluster-ips-check ip daddr @cluster-ips reject
";

/// Makes sure of the table and leaves its content alone.
pub const PROBE: &str = "add table ip kube-proxy\n";

/// A transaction that replaces whatever is there.
pub fn rewrite(model: &Model) -> String {
    let mut text = FIXED.to_owned();
    text.push_str(&super::diff::transaction(&Model::default(), model).change);
    text
}

/// A transaction that removes the table; no error if it is absent.
pub fn removal() -> String {
    format!("add table {TABLE}\ndelete table {TABLE}\n")
}

pub fn add_chain(text: &mut String, name: &str) {
    line(text, format_args!("add chain {TABLE} {name}"));
}

pub fn flush_chain(text: &mut String, name: &str) {
    line(text, format_args!("flush chain {TABLE} {name}"));
}

pub fn delete_chain(text: &mut String, name: &str) {
    line(text, format_args!("delete chain {TABLE} {name}"));
}

pub fn add_rules(text: &mut String, chain: &str, rules: &[String]) {
    for rule in rules {
        line(text, format_args!("add rule {TABLE} {chain} {rule}"));
    }
}

pub fn add_affinity_set(text: &mut String, name: &str, seconds: u32) {
    line(
        text,
        format_args!(
            "add set {TABLE} {name} {{ type ipv4_addr; flags dynamic,timeout; timeout {seconds}s; }}"
        ),
    );
}

pub fn delete_set(text: &mut String, name: &str) {
    line(text, format_args!("delete set {TABLE} {name}"));
}

/// Element commands for what differs between two verdict maps: all removals, then all additions.
pub fn change_map<K: Ord + Display, V: PartialEq>(
    text: &mut String,
    map: &str,
    (old, new): (&BTreeMap<K, V>, &BTreeMap<K, V>),
    verdict: fn(&V) -> String,
) {
    for (key, value) in old {
        if new.get(key) != Some(value) {
            line(text, format_args!("delete element {TABLE} {map} {{ {key} }}"));
        }
    }
    for (key, value) in new {
        if old.get(key) != Some(value) {
            line(text, format_args!("add element {TABLE} {map} {{ {key} : {} }}", verdict(value)));
        }
    }
}

pub fn change_set<'a, K: Ord + Display + 'a>(
    text: &mut String,
    set: &str,
    removed: impl Iterator<Item = &'a K>,
    added: impl Iterator<Item = &'a K>,
) {
    for key in removed {
        line(text, format_args!("delete element {TABLE} {set} {{ {key} }}"));
    }
    for key in added {
        line(text, format_args!("add element {TABLE} {set} {{ {key} }}"));
    }
}

fn line(text: &mut String, command: std::fmt::Arguments<'_>) {
    writeln!(text, "{command}").expect("writing to a String cannot fail");
}

/// Runs one transaction.
pub async fn apply(transaction: &str) -> Result<(), Error> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NftMissing,
            _ => Error::NftRun(error),
        })?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let text = transaction.as_bytes().to_vec();
    // nft reads all of its input before it says anything, but a full pipe must not depend on that.
    let writing = tokio::spawn(async move { stdin.write_all(&text).await });
    let output = child.wait_with_output().await.map_err(Error::NftRun)?;
    let written = writing.await.map_err(|error| Error::NftRun(std::io::Error::other(error)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::NftRefused(said.lines().next().unwrap_or("no reason given").to_owned()));
    }
    written.map_err(Error::NftRun)
}
