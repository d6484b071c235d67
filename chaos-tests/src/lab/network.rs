//! A network: one bridge in a namespace of its own, with hosts on it.
//!
//! ```text
//!  m1 [10.214.0.1] ──┐
//!  m2 [10.214.0.2] ──┼── br0, in a namespace that has no way out
//!  clients [.250]  ──┘
//! ```

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use super::host::{Host, ip, remove};

/// Of the hosts that run clients.
const CLIENTS: u8 = 250;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Removed when dropped; its hosts must be dropped before, or they stay without a cable.
pub struct Network {
    prefix: String,
    bridge: String,
    keep: bool,
}

impl Network {
    /// A network of this process, that [`super::sweep`] finds if the process is killed.
    pub fn create() -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::create_named(&format!("balsa-{}-n{number}", std::process::id()))
    }

    /// A network whose namespaces begin with `prefix`. Needs root.
    pub fn create_named(prefix: &str) -> Result<Self> {
        let network = Self { prefix: prefix.to_owned(), bridge: format!("{prefix}-net"), keep: false };
        let bridge = &network.bridge;
        for line in [
            format!("netns add {bridge}"),
            format!("-n {bridge} link add br0 type bridge"),
            format!("-n {bridge} link set lo up"),
            format!("-n {bridge} link set br0 up"),
        ] {
            ip(&line)?;
        }
        Ok(network)
    }

    /// Takes over a network that an earlier process made and left behind.
    pub fn adopt(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), bridge: format!("{prefix}-net"), keep: true }
    }

    /// Adds a host; `number` is the last byte of its address.
    pub fn host(&self, name: &str, number: u8) -> Result<Host> {
        Host::on_bridge(format!("{}-{name}", self.prefix), &self.bridge, Self::address(number))
    }

    /// Adds the host that clients run on.
    pub fn clients_host(&self) -> Result<Host> {
        self.host("clients", CLIENTS)
    }

    pub fn adopt_host(&self, name: &str, number: u8) -> Host {
        Host::adopt(format!("{}-{name}", self.prefix), &self.bridge, Self::address(number))
    }

    pub fn address(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 214, 0, number)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.bridge);
        }
    }
}
