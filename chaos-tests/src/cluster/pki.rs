//! Certificates of a cluster of several machines, as kubeadm lays them out: one authority for the cluster and one for the
//! store, copied to each machine, which issues its own certificates from them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use balsa_apiserver::pki::{Pki, PkiOptions};

use super::flags::{CLUSTER_DOMAIN, FIRST_SERVICE};
use super::topology::{MachinePlan, Role, Topology};

/// What machines share.
const SHARED: [&str; 6] = ["ca.crt", "ca.key", "sa.key", "sa.pub", "etcd/ca.crt", "etcd/ca.key"];
const LOOPBACK: [&str; 2] = ["localhost", "127.0.0.1"];

/// The authorities, and the administrator's own credentials.
pub struct Authorities {
    folder: PathBuf,
    topology: Topology,
}

impl Authorities {
    /// Makes them below `folder`, or finds those of an earlier start.
    pub fn ensure(folder: &Path, topology: Topology) -> Result<Self> {
        let own = Self { folder: folder.to_owned(), topology };
        // The administrator is served by nobody: the names in this serving certificate do not matter.
        let pki = Pki::ensure(folder, &own.options("admin", std::net::Ipv4Addr::LOCALHOST))?;
        pki.ensure_store("admin", &[]).context("make the store's authority")?;
        pki.ensure_client("admin", "kubernetes-admin", &["system:masters"])?;
        Ok(own)
    }

    fn options(&self, host_name: &str, address: std::net::Ipv4Addr) -> PkiOptions {
        PkiOptions {
            host_name: host_name.to_owned(),
            advertise_address: address.into(),
            service_address: FIRST_SERVICE.into(),
            cluster_domain: CLUSTER_DOMAIN.to_owned(),
            // Of the balancer, which passes TLS through.
            extra_sans: self.topology.addresses_of(Role::Balancer).iter().map(ToString::to_string).collect(),
        }
    }

    /// The administrator's kubeconfig, through the balancer.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<()> {
        let pki = Pki::ensure(&self.folder, &self.options("admin", std::net::Ipv4Addr::LOCALHOST))?;
        let admin = pki.ensure_client("admin", "kubernetes-admin", &["system:masters"])?;
        pki.write_kubeconfig(path, &self.topology.api_url(), "kubernetes-admin", &admin)?;
        Ok(())
    }

    /// All that `machine` needs, below its own `folder`.
    pub fn equip(&self, machine: &MachinePlan, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder.join("etcd"))
            .with_context(|| format!("create {}", folder.display()))?;
        for name in SHARED {
            // Keeps the mode, so that keys stay readable by their owner alone.
            std::fs::copy(self.folder.join(name), folder.join(name))
                .with_context(|| format!("copy {name}"))?;
        }
        let pki = Pki::ensure(folder, &self.options(&machine.name, machine.address()))?;
        for role in machine.roles {
            self.equip_role(*role, machine, &pki).with_context(|| format!("for {}", role.name()))?;
        }
        Ok(())
    }

    fn equip_role(&self, role: Role, machine: &MachinePlan, pki: &Pki) -> Result<()> {
        let mut names = vec![machine.name.clone(), machine.address().to_string()];
        names.extend(LOOPBACK.map(str::to_owned));
        match role {
            Role::Store => drop(pki.ensure_store(&machine.name, &names)?),
            Role::Apiserver => {
                pki.ensure_store(&machine.name, &names)?;
                let masters = ["system:masters"];
                pki.ensure_client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", &masters)?;
            }
            // A controller talks to the apiserver beside it, as kubeadm's do.
            Role::Controllers => {
                kubeconfig(pki, "controllers", "system:kube-controller-manager", &[], LOCAL_API)?;
            }
            Role::Scheduler => kubeconfig(pki, "scheduler", "system:kube-scheduler", &[], LOCAL_API)?,
            Role::Nodeagent => {
                let user = format!("system:node:{}", machine.name);
                pki.ensure_server("kubelet", &user, &names)?;
                kubeconfig(pki, "nodeagent", &user, &["system:nodes"], &self.topology.api_url())?;
            }
            Role::Balancer => {}
        }
        Ok(())
    }
}

const LOCAL_API: &str = "https://127.0.0.1:6443";

fn kubeconfig(pki: &Pki, name: &str, user: &str, groups: &[&str], server: &str) -> Result<()> {
    let credential = pki.ensure_client(&format!("{name}-client"), user, groups)?;
    let path = pki.directory().join(format!("{name}.kubeconfig"));
    pki.write_kubeconfig(&path, server, user, &credential)?;
    Ok(())
}
