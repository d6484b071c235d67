//! The identities of a one-machine cluster: made on the first start, reused on later ones.

use anyhow::{Context, Result};
use balsa_apiserver::pki::{Pki, PkiOptions};

use super::settings::{CLUSTER_DOMAIN, FIRST_SERVICE, Settings};

/// A component, the user it is, and its groups.
const COMPONENTS: [(&str, &str, &[&str]); 2] = [
    ("kube-controller-manager", "system:kube-controller-manager", &[]),
    ("kube-scheduler", "system:kube-scheduler", &[]),
];

pub fn ensure(settings: &Settings) -> Result<()> {
    let options = PkiOptions {
        host_name: settings.node_name.clone(),
        advertise_address: settings.node_ip,
        service_address: FIRST_SERVICE.into(),
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        extra_sans: Vec::new(),
    };
    let pki =
        Pki::ensure(&settings.layout.pki_dir(), &options).context("prepare the cluster's certificates")?;
    let loopback = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    pki.ensure_store(&settings.node_name, &loopback).context("prepare the store's certificates")?;
    let node_sans = [settings.node_name.clone(), settings.node_ip.to_string(), "127.0.0.1".to_owned()];
    pki.ensure_server("kubelet", &format!("system:node:{}", settings.node_name), &node_sans)
        .context("prepare the node's serving certificate")?;
    pki.ensure_client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", &["system:masters"])
        .context("prepare the API server's certificate for nodes")?;
    kubeconfigs(settings, &pki).context("write the kubeconfig files")
}

fn kubeconfigs(settings: &Settings, pki: &Pki) -> Result<()> {
    let server = settings.server_url();
    let admin = pki.ensure_client("admin", "kubernetes-admin", &["system:masters"])?;
    pki.write_kubeconfig(&settings.layout.kubeconfig(), &server, "kubernetes-admin", &admin)?;
    for (component, user, groups) in COMPONENTS {
        let credential = pki.ensure_client(component, user, groups)?;
        pki.write_kubeconfig(&settings.layout.component_kubeconfig(component), &server, user, &credential)?;
    }
    let user = format!("system:node:{}", settings.node_name);
    let node = pki.ensure_client("kubelet-client", &user, &["system:nodes"])?;
    pki.write_kubeconfig(&settings.layout.component_kubeconfig("kubelet"), &server, &user, &node)?;
    Ok(())
}
