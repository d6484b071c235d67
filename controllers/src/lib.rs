//! Level-triggered controllers and the scheduler.
//!
//! | step | file |
//! |---|---|
//! | a watch event enters the World | `world/feed.rs` |
//! | the change names the keys to look at | `keys` in each controller's `mod.rs` |
//! | a key is planned: `plan(&World, key, now) -> Vec<Action>`, free of I/O | each controller's `plan.rs` |
//! | the actions are written, guarded by uid and resourceVersion | `act.rs`, the only writer |
//! | the key is done when the World shows what was written | `act.rs`, `driver.rs` |
//! | a pod without a node gets one | `scheduler/` |
//!
//! A controller at its fixpoint plans nothing that writes: `testing/settle.rs` proves it for each of them.

pub mod args;
pub mod error;
pub mod health;
pub mod limits;
pub mod run;
pub mod settings;

pub mod act;
pub mod action;
pub mod driver;
pub mod world;

pub mod cluster_role_aggregation;
pub mod daemonset;
pub mod deployment;
pub mod endpoints;
pub mod endpointslice;
pub mod garbage;
pub mod namespace;
pub mod node_ipam;
pub mod node_lifecycle;
pub mod pod_garbage;
pub mod replicaset;
pub mod root_ca;
pub mod serviceaccount;
pub mod taint_eviction;

pub mod scheduler;

mod claim;
mod endpoint_ports;
mod look_up;
mod object;
mod pod;
mod recorder;
mod remote;
mod selector;
mod taint;
mod template;
mod writable;

#[cfg(test)]
mod testing;

pub use args::{ControllersArgs, ControllersConfig, SchedulerArgs, SchedulerConfig};
pub use error::Error;
pub use run::run_controllers;
pub use scheduler::run_scheduler;
