//! Looks at the machine before anything is started: what is missing gets one sentence that names it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Result, bail, ensure};

use balsa_controllers::args::{CONTROLLERS_PORT, SCHEDULER_PORT};

use super::settings::{KUBELET_PORT, Settings};

/// Folders where CNI plugins are installed: Debian's packages, and everyone else.
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];
const CNI_PLUGINS: [&str; 4] = ["bridge", "host-local", "portmap", "loopback"];

pub fn check_root() -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "balsa up starts containers and networks, which needs root: run it with sudo"
    );
    Ok(())
}

pub fn check(settings: &Settings) -> Result<()> {
    commands(settings)?;
    cni_plugins()?;
    cgroups()?;
    nftables()?;
    ports(settings)
}

fn commands(settings: &Settings) -> Result<()> {
    let mut wanted = vec![("nft", "nftables"), ("ip", "iproute2"), ("conntrack", "conntrack")];
    if settings.container_runtime_endpoint.is_none() {
        wanted.extend([("containerd", "containerd"), ("ctr", "containerd"), ("runc", "runc")]);
    }
    for (command, package) in wanted {
        ensure!(
            on_path(command),
            "the command {command} is missing: install the package {package} (./dev up does it on Debian and Ubuntu)"
        );
    }
    Ok(())
}

fn on_path(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian's sbin is not on everyone's PATH.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(Into::into));
    folders.map(|folder| folder.join(command)).any(|file| file.is_file())
}

fn cni_plugins() -> Result<()> {
    for plugin in CNI_PLUGINS {
        ensure!(
            CNI_FOLDERS.iter().any(|folder| Path::new(folder).join(plugin).is_file()),
            "the CNI plugin {plugin} is in neither {} nor {}: install the package containernetworking-plugins",
            CNI_FOLDERS[0],
            CNI_FOLDERS[1]
        );
    }
    Ok(())
}

fn cgroups() -> Result<()> {
    let mounted = Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
        || Path::new("/sys/fs/cgroup/memory").is_dir();
    ensure!(
        mounted,
        "no cgroups are mounted at /sys/fs/cgroup (neither v2 nor v1 with the memory controller): mount them"
    );
    Ok(())
}

/// The command is there; does the kernel take it?
fn nftables() -> Result<()> {
    let output = std::process::Command::new("nft").args(["list", "tables"]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "nftables do not work here: nft list tables: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => bail!("nftables do not work here: nft: {error}"),
    }
}

fn ports(settings: &Settings) -> Result<()> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let anywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let mut wanted = vec![
        (anywhere(settings.secure_port), "the API server", "--secure-port"),
        (anywhere(KUBELET_PORT), "the node agent", "stopping what uses it"),
    ];
    wanted.push((loopback(CONTROLLERS_PORT), "the controllers' health", "stopping what uses it"));
    wanted.push((loopback(SCHEDULER_PORT), "the scheduler's health", "stopping what uses it"));
    if settings.etcd_servers.is_none() {
        wanted.push((loopback(settings.store_client_port), "the store", "--store-client-port"));
        wanted.push((loopback(settings.store_peer_port), "the store's peers", "--store-peer-port"));
    }
    for (address, what, remedy) in wanted {
        if let Err(error) = TcpListener::bind(address) {
            bail!(
                "port {} for {what} cannot be used ({error}): choose another with {remedy}, or see who has it with ss -ltnp",
                address.port()
            );
        }
    }
    Ok(())
}
