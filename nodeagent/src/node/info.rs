//! What does not change while the agent runs: names, addresses, versions.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use k8s_openapi::api::core::v1::{NodeAddress, NodeSystemInfo};

use crate::runtime::archive::architecture;

/// The API level that this agent speaks, as semantic version with our mark as build metadata.
pub const KUBELET_VERSION: &str = concat!("v1.36.0+balsa.", env!("CARGO_PKG_VERSION"));

/// The kernel's host name, in lower case as node names are.
pub fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_lowercase();
    if name.is_empty() || name == "(none)" { "localhost".to_owned() } else { name }
}

/// The address that this host uses towards others: that of the default route; loopback on a host without one.
pub fn default_address() -> IpAddr {
    // Connecting a datagram socket sends nothing; it makes the kernel choose a route. 192.0.2.1 is for documentation.
    let chosen = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    chosen.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

pub fn addresses(ips: &[IpAddr], hostname: &str) -> Vec<NodeAddress> {
    let address = |type_: &str, address: String| NodeAddress { type_: type_.to_owned(), address };
    let internal = ips.iter().map(|ip| address("InternalIP", ip.to_string()));
    internal.chain([address("Hostname", hostname.to_owned())]).collect()
}

pub fn system(container_runtime_version: &str) -> NodeSystemInfo {
    let line = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    NodeSystemInfo {
        architecture: architecture().to_owned(),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: container_runtime_version.to_owned(),
        kernel_version: line("/proc/sys/kernel/osrelease"),
        kubelet_version: KUBELET_VERSION.to_owned(),
        kube_proxy_version: String::new(),
        machine_id: line("/etc/machine-id"),
        operating_system: "linux".to_owned(),
        os_image: os_image(Path::new("/etc/os-release")),
        system_uuid: line("/sys/class/dmi/id/product_uuid"),
        swap: None,
    }
}

fn os_image(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let pretty = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    pretty.unwrap_or("Linux").trim_matches('"').to_owned()
}
