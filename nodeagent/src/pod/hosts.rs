//! The `/etc/hosts` of a pod's containers.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

use super::{dns, facts};

/// The file's content. Pods on the host's network start from the host's file.
pub fn content(pod: &Pod, pod_ips: &[String], domain: &str) -> String {
    let mut text = match facts::uses_host_network(pod) {
        true => {
            let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
            format!("# Kubernetes-managed hosts file (host network).\n{hosts}")
        }
        false => own(pod, pod_ips, domain),
    };
    let aliases = facts::spec(pod).host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
            text.push_str(&format!("{}\t{names}\n", alias.ip));
        }
    }
    text
}

fn own(pod: &Pod, pod_ips: &[String], domain: &str) -> String {
    let mut text = String::from("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n");
    text.push_str(
        "::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n",
    );
    text.push_str("fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
    let (name, full) = dns::hostname(pod, domain);
    for ip in pod_ips {
        match &full {
            Some(full) => text.push_str(&format!("{ip}\t{full}\t{name}\n")),
            None => text.push_str(&format!("{ip}\t{name}\n")),
        }
    }
    text
}

/// Written in place: containers hold the file by a bind mount, so it must stay the same inode.
pub fn write(path: &Path, content: &str) -> std::io::Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    std::fs::write(path, content)
}
