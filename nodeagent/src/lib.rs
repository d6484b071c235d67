//! The node agent: kubelet, service proxy and cluster DNS for one node
//!
//! | module | what |
//! |---|---|
//! | [`run`] | wiring: which tasks there are and how they end |
//! | [`api_link`] | the only file that talks to the API server |
//! | [`pod`] | from what should run to what runs |
//! | [`runtime`] | the container runtime behind CRI; containerd as a child; carried images |
//! | [`volume`] | a pod's volumes |
//! | [`observe`] | relist, probes, usage |
//! | [`node`] | the Node object and its Lease |
//! | [`serve`] | the agent's own port: logs, exec, port-forward |
//! | [`services`] | the next three, started together |
//! | [`proxy`], [`dns`], [`network`] | services in nftables, cluster DNS, the pod network |

pub mod args;
pub mod config;
pub mod error;
pub mod kubelet_config;
pub mod limits;
pub mod run;

pub mod api_link;
pub mod cgroup;
pub mod event;
pub mod image_archive;
pub mod node;
pub mod observe;
pub mod pod;
pub mod runtime;
pub mod serve;
pub mod volume;

pub mod dns;
pub mod network;
pub mod proxy;
pub mod services;
pub mod teardown;

pub use args::Args;
pub use config::Config;
pub use error::Error;
pub use run::run;
