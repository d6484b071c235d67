//! A Kubernetes cluster of several machines, on one: real processes, each on a machine of namespaces.
//!
//! | file | holds |
//! |---|---|
//! | [`topology`] | which machines there are, and what runs on each |
//! | [`machine`], [`init`], [`life`], [`cgroups`] | a machine, its first process, its other processes, what stays of it |
//! | [`unit`] | a part that runs on one |
//! | [`pki`], [`flags`], [`entrances`] | certificates, command lines, the administrator's files |
//! | [`balancer`] | the way to the apiservers |
//! | [`kube_cluster`], [`tools`] | all of these together, and the commands that use it |
//! | [`arena`], [`store_disk`] | what faults may do to it (`crate::faults`), and the disks that they need |
//! | [`scenario`], [`run`], [`finish`], [`processes`] | a run with a verdict, and what is looked at |
//! | [`sabotage`] | bugs made on purpose, to see them noticed |
//! | [`state`] | a cluster that outlives the command that started it (`./dev lab`) |

pub mod arena;
pub mod balancer;
pub mod cgroups;
pub mod entrances;
pub mod finish;
pub mod flags;
pub mod init;
pub mod kube_cluster;
pub mod life;
pub mod machine;
pub mod pki;
pub mod processes;
pub mod run;
pub mod sabotage;
pub mod scenario;
pub mod state;
pub mod store_disk;
pub mod tools;
pub mod topology;
pub mod unit;

pub use kube_cluster::{KubeCluster, Setup};
pub use scenario::ClusterScenario;
pub use topology::{Kind, Role, Topology};
