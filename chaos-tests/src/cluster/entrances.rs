//! The ways into a cluster that are left in its folder: the administrator's kubeconfig, and variables for balsactl.

use anyhow::{Context, Result};

use super::flags;
use super::kube_cluster::Setup;
use super::pki::Authorities;
use super::topology::Role;

/// `kubeconfig`, and `balsactl.env` for a shell.
pub fn write(setup: &Setup, authorities: &Authorities) -> Result<()> {
    if setup.topology.has_kubernetes() {
        authorities.write_kubeconfig(&setup.folder.join("kubeconfig"))?;
    }
    let lines = balsactl_variables(setup).map(|(name, value)| format!("export {name}={value:?}\n"));
    let path = setup.folder.join("balsactl.env");
    std::fs::write(&path, lines.concat()).with_context(|| format!("write {}", path.display()))
}

/// What balsactl and etcdctl want to know.
pub fn balsactl_variables(setup: &Setup) -> [(&'static str, String); 5] {
    let urls = setup.topology.addresses_of(Role::Store).into_iter().map(flags::store_url);
    let pki = |name: &str| setup.data.join("pki").join(name).display().to_string();
    [
        ("ETCDCTL_API", "3".to_owned()),
        ("ETCDCTL_ENDPOINTS", urls.collect::<Vec<_>>().join(",")),
        ("ETCDCTL_CACERT", pki("etcd/ca.crt")),
        ("ETCDCTL_CERT", pki("apiserver-etcd-client.crt")),
        ("ETCDCTL_KEY", pki("apiserver-etcd-client.key")),
    ]
}
