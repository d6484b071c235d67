//! Kernel switches that pod networking needs.

use std::path::{Path, PathBuf};

use super::Error;

pub const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
pub const BRIDGE_NETFILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Forwarding must be on; bridged packets must pass netfilter where the kernel can do that at all.
pub fn ensure() -> Result<(), Error> {
    set(Path::new(IP_FORWARD))?;
    let bridge = Path::new(BRIDGE_NETFILTER);
    if bridge.exists() { set(bridge) } else { Ok(()) }
}

/// Writes only if needed: in a container the file may be read-only and already right.
fn set(path: &Path) -> Result<(), Error> {
    if std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1") {
        return Ok(());
    }
    std::fs::write(path, "1").map_err(|source| Error::Sysctl { path: PathBuf::from(path), source })
}
