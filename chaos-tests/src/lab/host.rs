//! A host: a network namespace with one address, one cable to the outside world.
//!
//! ```text
//!  host namespace [10.213.0.2/24 eth0] ══ veth ══ [10.213.0.1/24] outside namespace
//! ```
//! The outside is a namespace as well: hosts of concurrent runs may have equal addresses. Hosts that shall meet each other
//! stand on a [`super::Network`] instead, whose bridge is their outside.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Removed, with all it holds, when dropped.
pub struct Host {
    name: String,
    outside: Outside,
    address: Ipv4Addr,
}

/// The other end of the cable.
enum Outside {
    /// A namespace of this host's own.
    Own(String),
    /// The namespace of a network's bridge, which outlives the host.
    Bridge(String),
}

impl Host {
    /// The host's own address.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 2);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);

    /// Needs root.
    pub fn create() -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("balsa-{}-{number}", std::process::id());
        let outside = format!("{name}-out");
        let host = Self { outside: Outside::Own(outside.clone()), name, address: Self::ADDRESS };
        let inside = &host.name;
        let (address, gateway) = (format!("{}/24", Self::ADDRESS), format!("{}/24", Self::GATEWAY));
        for line in [
            format!("netns add {inside}"),
            format!("netns add {outside}"),
            format!("-n {inside} link add eth0 type veth peer name eth0 netns {outside}"),
            format!("-n {inside} addr add {address} dev eth0"),
            format!("-n {outside} addr add {gateway} dev eth0"),
            format!("-n {inside} link set lo up"),
            format!("-n {outside} link set lo up"),
            format!("-n {inside} link set eth0 up"),
            format!("-n {outside} link set eth0 up"),
            format!("-n {inside} route add default via {}", Self::GATEWAY),
        ] {
            ip(&line)?;
        }
        Ok(host)
    }

    /// A host on a network; `name` is the namespace's.
    pub(super) fn on_bridge(name: String, bridge: &str, address: Ipv4Addr) -> Result<Self> {
        let port = format!("p{}", address.octets()[3]);
        let host = Self { name, outside: Outside::Bridge(bridge.to_owned()), address };
        let inside = &host.name;
        for line in [
            format!("netns add {inside}"),
            format!("-n {inside} link add eth0 type veth peer name {port} netns {bridge}"),
            format!("-n {bridge} link set {port} master br0"),
            format!("-n {inside} addr add {address}/24 dev eth0"),
            format!("-n {inside} link set lo up"),
            format!("-n {inside} link set eth0 up"),
            format!("-n {bridge} link set {port} up"),
        ] {
            ip(&line)?;
        }
        Ok(host)
    }

    /// Takes over a host that an earlier process made and left behind.
    pub(super) fn adopt(name: String, bridge: &str, address: Ipv4Addr) -> Self {
        Self { name, outside: Outside::Bridge(bridge.to_owned()), address }
    }

    /// Gives addresses outside of the network a way, though nobody answers there: without one the kernel refuses them
    /// before a rule for them is looked at, those of Services for example.
    pub fn route_everything_out(&self) -> Result<()> {
        ip(&format!("-n {} route add default dev eth0", self.name)).map(drop)
    }

    /// The address of its network card.
    pub fn hardware_address(&self) -> Result<String> {
        let shown = ip(&format!("-n {} -o link show eth0", self.name))?;
        let mut words = shown.split_whitespace().skip_while(|word| *word != "link/ether").skip(1);
        words.next().map(str::to_owned).context("the host's network card has no address")
    }

    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The namespace, as `ip netns` calls it.
    pub fn namespace(&self) -> &str {
        &self.name
    }

    /// A command that will run on this host.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        in_namespace(&self.name, program)
    }

    /// Runs `work` on a thread of its own that is on this host; threads that it starts are, too.
    pub fn run_inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let namespace =
            File::open(format!("/run/netns/{}", self.name)).context("open the host's namespace")?;
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || {
                setns(namespace, CloneFlags::CLONE_NEWNET).context("enter the host's namespace")?;
                Ok(work())
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A command that will run in the world outside, whose only neighbour is the host.
    pub fn outside_command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let (Outside::Own(outside) | Outside::Bridge(outside)) = &self.outside;
        in_namespace(outside, program)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        remove(&self.name);
        if let Outside::Own(outside) = &self.outside {
            remove(outside);
        }
    }
}

/// Deletes a namespace, with all addresses, rules and cables in it.
pub(super) fn remove(namespace: &str) {
    if let Err(error) = ip(&format!("netns del {namespace}")) {
        eprintln!("left behind: {error:#}");
    }
}

/// `nsenter` and not `ip netns exec`: the latter makes a new mount namespace each time, and mounts made by one
/// process of the host must be seen by the next.
pub(super) fn in_namespace(name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{name}")).arg("--").arg(program);
    command
}

/// What `ip` prints.
pub(crate) fn ip(line: &str) -> Result<String> {
    let output = Command::new("ip").args(line.split(' ')).output().context("run ip (package iproute2)")?;
    if !output.status.success() {
        bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
