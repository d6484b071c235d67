//! Command lines of `balsa controllers` and `balsa scheduler`: kube-controller-manager's and kube-scheduler's flag names.
//!
//! Only flags that act are here; any other is refused by the parser.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use balsa_proto::client::ClientConfig;
use clap::{ArgAction, Args};
use ipnet::IpNet;

use crate::driver::Controller;
use crate::error::Error;
use crate::health::HealthConfig;
use crate::run::{self, LeaderElection};
use crate::settings::Settings;

/// Where kube-controller-manager and kube-scheduler answer health checks.
pub const CONTROLLERS_PORT: u16 = 10257;
pub const SCHEDULER_PORT: u16 = 10259;

#[derive(Args, Clone, Debug)]
pub struct ControllersArgs {
    /// File that says how to reach the apiserver, and as whom
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Names to run: `*` is all, `name` that one, `-name` all but it
    #[arg(long, value_delimiter = ',', default_value = "*", allow_hyphen_values = true)]
    pub controllers: Vec<String>,
    #[command(flatten)]
    pub health: HealthArgs,
    #[command(flatten)]
    pub election: ElectionArgs,
    /// Name of the lease of the leader
    #[arg(long, default_value = "kube-controller-manager")]
    pub leader_elect_resource_name: String,
    /// Give each node a pod network out of --cluster-cidr
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true")]
    pub allocate_node_cidrs: bool,
    /// Networks of all pods, at most one of each family
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    pub cluster_cidr: Vec<IpNet>,
    /// Prefix length of a node's IPv4 network
    #[arg(long, visible_alias = "node-cidr-mask-size", default_value_t = 24)]
    pub node_cidr_mask_size_ipv4: u8,
    /// Prefix length of a node's IPv6 network
    #[arg(long, default_value_t = 64)]
    pub node_cidr_mask_size_ipv6: u8,
    /// How long a node may be silent before it counts as gone
    #[arg(long, default_value = "40s")]
    pub node_monitor_grace_period: String,
    /// Certificates that are published in every namespace as kube-root-ca.crt
    #[arg(long, value_name = "FILE")]
    pub root_ca_file: Option<PathBuf>,
    /// Finished pods above this number are deleted; 0 keeps all
    #[arg(long, default_value_t = 12_500)]
    pub terminated_pod_gc_threshold: usize,
    /// Endpoints in one slice
    #[arg(long, default_value_t = 100)]
    pub max_endpoints_per_slice: usize,
    /// Deployments worked on side by side
    #[arg(long, default_value_t = 5)]
    pub concurrent_deployment_syncs: usize,
    /// Replica sets worked on side by side
    #[arg(long, default_value_t = 5)]
    pub concurrent_replicaset_syncs: usize,
    /// Services worked on side by side for Endpoints
    #[arg(long, default_value_t = 5)]
    pub concurrent_endpoint_syncs: usize,
    /// Services worked on side by side for EndpointSlices
    #[arg(long, default_value_t = 5)]
    pub concurrent_service_endpoint_syncs: usize,
    /// Objects that the garbage collector works on side by side
    #[arg(long, default_value_t = 20)]
    pub concurrent_gc_syncs: usize,
    /// Namespaces emptied side by side
    #[arg(long, default_value_t = 10)]
    pub concurrent_namespace_syncs: usize,
}

/// Flags of the health port that both components share.
#[derive(Args, Clone, Debug)]
pub struct HealthArgs {
    /// Address to answer /healthz, /livez and /readyz on
    #[arg(long, default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// Port to answer them on, over TLS; 0 for none. kube-controller-manager's is 10257, kube-scheduler's 10259
    #[arg(long)]
    pub secure_port: Option<u16>,
}

/// Flags of the leader election that both components share.
#[derive(Args, Clone, Debug)]
pub struct ElectionArgs {
    /// Work only while holding the lease, so that several replicas may run
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true,
          default_missing_value = "true")]
    pub leader_elect: bool,
    /// Namespace of the lease
    #[arg(long, default_value = "kube-system")]
    pub leader_elect_resource_namespace: String,
}

#[derive(Args, Clone, Debug)]
pub struct SchedulerArgs {
    /// File that says how to reach the apiserver, and as whom
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    pub health: HealthArgs,
    #[command(flatten)]
    pub election: ElectionArgs,
    /// Name of the lease of the leader
    #[arg(long, default_value = "kube-scheduler")]
    pub leader_elect_resource_name: String,
}

/// Everything that `run_controllers` needs.
#[derive(Clone)]
pub struct ControllersConfig {
    pub client: ClientConfig,
    pub settings: Settings,
    pub controllers: Vec<Controller>,
    pub health: HealthConfig,
    /// Works at once, and alone, when unset.
    pub leader_election: Option<LeaderElection>,
}

/// Everything that `run_scheduler` needs.
#[derive(Clone)]
pub struct SchedulerConfig {
    pub client: ClientConfig,
    /// Pods with this `spec.schedulerName` are ours.
    pub scheduler_name: String,
    pub health: HealthConfig,
    pub leader_election: Option<LeaderElection>,
}

impl ControllersArgs {
    pub fn into_config(self) -> Result<ControllersConfig, Error> {
        Ok(ControllersConfig {
            client: client_config(self.kubeconfig.as_ref(), "kube-controller-manager")?,
            settings: self.settings()?,
            controllers: self.selected_controllers()?,
            health: self.health.config(CONTROLLERS_PORT),
            leader_election: self.election.config(&self.leader_elect_resource_name),
        })
    }

    fn settings(&self) -> Result<Settings, Error> {
        let flag = "--node-monitor-grace-period";
        Ok(Settings {
            node_monitor_grace_period: duration(flag, &self.node_monitor_grace_period)?,
            cluster_cidrs: self.allocated_cidrs()?,
            node_cidr_mask_size_ipv4: self.node_cidr_mask_size_ipv4,
            node_cidr_mask_size_ipv6: self.node_cidr_mask_size_ipv6,
            root_ca_pem: self.root_ca_file.as_ref().map(read_root_ca).transpose()?,
            terminated_pod_gc_threshold: self.terminated_pod_gc_threshold,
            max_endpoints_per_slice: self.max_endpoints_per_slice.clamp(1, 1000),
        })
    }

    fn allocated_cidrs(&self) -> Result<Vec<IpNet>, Error> {
        if !self.allocate_node_cidrs {
            return Ok(Vec::new());
        }
        if self.cluster_cidr.is_empty() {
            return Err(Error::NoClusterCidr);
        }
        for cidr in &self.cluster_cidr {
            let mask = match cidr {
                IpNet::V4(_) => self.node_cidr_mask_size_ipv4,
                IpNet::V6(_) => self.node_cidr_mask_size_ipv6,
            };
            if cidr.subnets(mask).is_err() {
                return Err(Error::MaskTooWide { cidr: *cidr, mask });
            }
        }
        Ok(self.cluster_cidr.clone())
    }

    fn selected_controllers(&self) -> Result<Vec<Controller>, Error> {
        let mut controllers = run::all();
        for wanted in &self.controllers {
            let name = wanted.strip_prefix('-').unwrap_or(wanted);
            if name != "*" && !controllers.iter().any(|controller| run::is_called(controller, name)) {
                return Err(Error::UnknownController(name.to_owned()));
            }
        }
        controllers.retain(|controller| is_selected(controller, &self.controllers));
        for controller in &mut controllers {
            controller.workers = self.workers(controller).max(1);
        }
        Ok(controllers)
    }

    fn workers(&self, controller: &Controller) -> usize {
        match controller.name {
            "deployment-controller" => self.concurrent_deployment_syncs,
            "replicaset-controller" => self.concurrent_replicaset_syncs,
            "endpoints-controller" => self.concurrent_endpoint_syncs,
            "endpointslice-controller" => self.concurrent_service_endpoint_syncs,
            "garbage-collector-controller" => self.concurrent_gc_syncs,
            "namespace-controller" => self.concurrent_namespace_syncs,
            _ => controller.workers,
        }
    }
}

impl SchedulerArgs {
    pub fn into_config(self) -> Result<SchedulerConfig, Error> {
        Ok(SchedulerConfig {
            client: client_config(self.kubeconfig.as_ref(), "kube-scheduler")?,
            scheduler_name: "default-scheduler".to_owned(),
            health: self.health.config(SCHEDULER_PORT),
            leader_election: self.election.config(&self.leader_elect_resource_name),
        })
    }
}

impl HealthArgs {
    fn config(&self, usual_port: u16) -> HealthConfig {
        HealthConfig { address: self.bind_address, port: self.secure_port.unwrap_or(usual_port) }
    }
}

impl ElectionArgs {
    fn config(&self, name: &str) -> Option<LeaderElection> {
        let namespace = self.leader_elect_resource_namespace.clone();
        self.leader_elect.then(|| LeaderElection::new(namespace, name.to_owned()))
    }
}

/// A name decides; without one, `*` does.
fn is_selected(controller: &Controller, wanted: &[String]) -> bool {
    let named = wanted.iter().find_map(|wanted| match wanted.strip_prefix('-') {
        Some(name) => run::is_called(controller, name).then_some(false),
        None => run::is_called(controller, wanted).then_some(true),
    });
    named.unwrap_or_else(|| wanted.iter().any(|wanted| wanted == "*"))
}

fn client_config(kubeconfig: Option<&PathBuf>, user_agent: &str) -> Result<ClientConfig, Error> {
    let path = kubeconfig.ok_or(Error::NoKubeconfig)?;
    ClientConfig::from_kubeconfig(path, user_agent)
        .map_err(|source| Error::Kubeconfig { path: path.clone(), source })
}

fn read_root_ca(path: &PathBuf) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::RootCa { path: path.clone(), source })
}

/// Go's notation, as the stock components take it: `40s`, `1m30s`, `500ms`.
fn duration(flag: &'static str, text: &str) -> Result<Duration, Error> {
    let span: Result<jiff::SignedDuration, _> = text.parse();
    let duration = span.ok().and_then(|span| Duration::try_from(span).ok());
    duration.ok_or_else(|| Error::Duration { flag, value: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_before_the_star() {
        let selected = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
            let controllers = run::all().into_iter().filter(|controller| is_selected(controller, &wanted));
            controllers.map(|controller| controller.name).collect::<Vec<_>>()
        };
        assert_eq!(selected(&["deployment"]), ["deployment-controller"]);
        assert_eq!(selected(&["*"]).len(), run::all().len());
        assert!(!selected(&["*", "-nodeipam"]).contains(&"node-ipam-controller"));
    }

    #[test]
    fn durations_are_written_as_in_go() {
        assert_eq!(duration("--x", "1m30s").expect("valid"), Duration::from_secs(90));
        assert_eq!(duration("--x", "500ms").expect("valid"), Duration::from_millis(500));
        assert!(duration("--x", "-5s").is_err());
        assert!(duration("--x", "soon").is_err());
    }
}
