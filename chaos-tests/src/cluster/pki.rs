//! Certificates of a cluster of several machines, as kubeadm lays them out: one authority for the cluster and one for the
//! store, copied to each machine, which issues its own certificates from them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use balsa_apiserver::pki::{Pki, PkiOptions};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::flags::{CLUSTER_DOMAIN, FIRST_SERVICE};
use super::topology::{MachinePlan, Role, Topology};
use crate::lab::authority;

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

    /// Replaces the certificates that a part of `role` shows by some that are valid for so long, and says how many these
    /// are. Keys stay, so that each change is one rename.
    pub fn issue(&self, role: Role, machine: &MachinePlan, folder: &Path, valid: Duration) -> Result<usize> {
        let (authority, shown, names): (_, &[&str], _) = match role {
            Role::Store => ("etcd/ca", &["etcd/server", "etcd/peer"], own_names(machine)),
            Role::Apiserver => {
                let options = self.options(&machine.name, machine.address());
                ("ca", &["apiserver"], options.serving_names())
            }
            Role::Controllers | Role::Scheduler | Role::Nodeagent | Role::Balancer => return Ok(0),
        };
        let read = |name: String| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
        };
        let key = |name: &str| {
            KeyPair::from_pem(&read(format!("{name}.key"))?).with_context(|| format!("understand {name}.key"))
        };
        let issuer = Issuer::from_ca_cert_pem(&read(format!("{authority}.crt"))?, key(authority)?)
            .with_context(|| format!("understand {authority}.crt"))?;
        for name in shown {
            let mut params = CertificateParams::new(names.clone()).context("name the machine")?;
            params.distinguished_name.push(DnType::CommonName, machine.name.as_str());
            params.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            params.use_authority_key_identifier_extension = true;
            authority::validity(&mut params, valid);
            let certificate = params.signed_by(&key(name)?, &issuer).context("sign a certificate")?;
            authority::write(&folder.join(format!("{name}.crt")), &certificate.pem())?;
        }
        Ok(shown.len())
    }

    /// What the lab itself shows to members of the store: what apiservers show.
    pub fn store_client(&self) -> Result<ClientTlsConfig> {
        let read = |name: &str| std::fs::read(self.folder.join(name)).with_context(|| format!("read {name}"));
        let client = "apiserver-etcd-client";
        let identity = Identity::from_pem(read(&format!("{client}.crt"))?, read(&format!("{client}.key"))?);
        let authority = Certificate::from_pem(read("etcd/ca.crt")?);
        Ok(ClientTlsConfig::new().ca_certificate(authority).identity(identity))
    }

    fn equip_role(&self, role: Role, machine: &MachinePlan, pki: &Pki) -> Result<()> {
        let names = own_names(machine);
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

fn own_names(machine: &MachinePlan) -> Vec<String> {
    let mut names = vec![machine.name.clone(), machine.address().to_string()];
    names.extend(LOOPBACK.map(str::to_owned));
    names
}

const LOCAL_API: &str = "https://127.0.0.1:6443";

fn kubeconfig(pki: &Pki, name: &str, user: &str, groups: &[&str], server: &str) -> Result<()> {
    let credential = pki.ensure_client(&format!("{name}-client"), user, groups)?;
    let path = pki.directory().join(format!("{name}.kubeconfig"));
    pki.write_kubeconfig(&path, server, user, &credential)?;
    Ok(())
}
