//! The command line of each part, as it would be on a machine of its own, read by that part's own parser.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use balsa_apiserver::pki::Part;
use clap::{Args, FromArgMatches};

use super::settings::{CLUSTER_DNS, CLUSTER_DOMAIN, POD_RANGE, SERVICE_RANGE, Settings};

pub fn store(settings: &Settings) -> Result<balsa_store::Config> {
    let (client, peer) = (settings.store_url(), settings.store_peer_url());
    let mut line = Line::default();
    line.flag("name", &settings.node_name);
    line.flag("data-dir", settings.layout.store_dir().display());
    line.flag("listen-client-urls", &client);
    line.flag("advertise-client-urls", &client);
    line.flag("listen-peer-urls", &peer);
    line.flag("initial-advertise-peer-urls", &peer);
    line.flag("initial-cluster", format!("{}={peer}", settings.node_name));
    line.files(Part::Store, settings);
    line.flag("client-cert-auth", true);
    line.flag("peer-client-cert-auth", true);
    line.parse::<balsa_store::Args>()?.into_config().context("settings of the store")
}

pub fn apiserver(settings: &Settings) -> Result<balsa_apiserver::Config> {
    let mut line = Line::default();
    match &settings.etcd_servers {
        Some(servers) => line.flag("etcd-servers", servers),
        None => {
            line.flag("etcd-servers", settings.store_url());
            line.files(Part::StoreClient, settings);
        }
    }
    line.flag("secure-port", settings.secure_port);
    line.flag("advertise-address", settings.node_ip);
    line.flag("cert-dir", settings.layout.pki_dir().display());
    line.files(Part::Apiserver, settings);
    line.flag("authorization-mode", "Node,RBAC");
    line.flag("service-cluster-ip-range", SERVICE_RANGE);
    line.parse::<balsa_apiserver::Args>()?.into_config().context("settings of the apiserver")
}

pub fn controllers(settings: &Settings) -> Result<balsa_controllers::ControllersConfig> {
    let mut line = Line::default();
    line.flag("kubeconfig", settings.layout.component_kubeconfig("kube-controller-manager").display());
    line.flag("bind-address", Ipv4Addr::LOCALHOST);
    line.flag("leader-elect", !settings.is_alone());
    line.flag("allocate-node-cidrs", true);
    line.flag("cluster-cidr", POD_RANGE);
    line.flag("root-ca-file", settings.layout.pki_file("ca.crt").display());
    line.parse::<balsa_controllers::ControllersArgs>()?.into_config().context("settings of the controllers")
}

pub fn scheduler(settings: &Settings) -> Result<balsa_controllers::SchedulerConfig> {
    let mut line = Line::default();
    line.flag("kubeconfig", settings.layout.component_kubeconfig("kube-scheduler").display());
    line.flag("bind-address", Ipv4Addr::LOCALHOST);
    line.flag("leader-elect", !settings.is_alone());
    line.parse::<balsa_controllers::SchedulerArgs>()?.into_config().context("settings of the scheduler")
}

pub fn nodeagent(settings: &Settings) -> Result<balsa_nodeagent::Config> {
    let mut line = Line::default();
    line.flag("kubeconfig", settings.layout.component_kubeconfig("kubelet").display());
    line.flag("hostname-override", &settings.node_name);
    line.flag("node-ip", settings.node_ip);
    line.flag("root-dir", settings.layout.node_dir().display());
    line.flag("pod-manifest-path", settings.layout.manifests_dir().display());
    if let Some(socket) = settings.runtime_socket() {
        line.flag("container-runtime-endpoint", socket);
    }
    line.flag("cluster-dns", CLUSTER_DNS);
    line.flag("cluster-domain", CLUSTER_DOMAIN);
    line.flag("cluster-cidr", POD_RANGE);
    // A machine that has other work, too: a tenth of its disk is much. k3s says the same.
    line.flag("eviction-hard", "memory.available<100Mi,nodefs.available<5%,nodefs.inodesFree<5%");
    line.files(Part::Nodeagent, settings);
    line.parse::<balsa_nodeagent::Args>()?.into_config().context("settings of the node agent")
}

/// A command line in the making.
#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn flag(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("--{name}={value}"));
    }

    /// The certificates and keys that `part` reads.
    fn files(&mut self, part: Part, settings: &Settings) {
        for (name, file) in part.flags(&settings.layout.pki_dir()) {
            self.flag(name, file);
        }
    }

    fn parse<A: Args + FromArgMatches>(self) -> Result<A> {
        let command = A::augment_args(clap::Command::new("balsa").no_binary_name(true));
        let matches =
            command.try_get_matches_from(self.0).context("a flag of balsa up that its part refuses")?;
        A::from_arg_matches(&matches).context("a flag of balsa up that its part refuses")
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::Line;

    /// Every flag that is composed here is one that its part has; values are checked by the end-to-end tests.
    #[test]
    fn an_unknown_flag_is_an_error() {
        let mut line = Line::default();
        line.flag("no-such-flag", 1);
        assert!(line.parse::<balsa_store::Args>().is_err());
        let command = balsa_store::Args::augment_args(clap::Command::new("balsa"));
        assert!(command.get_arguments().any(|argument| argument.get_long() == Some("initial-cluster")));
    }
}
