//! Pods: from what should run to what runs.
//!
//! ```text
//! api_link, static_pods ──► dispatch ──► worker (one task per pod) ──► observe ─► plan ─► act ─► (again)
//!                              ▲                    │                                      │
//!                           relist                  └──► status ──► status_writer          └──► runtime, volumes
//! ```
//! Invariants: one worker per pod uid; only the worker touches its pod's containers; only `status_writer` writes statuses;
//! nothing of a pod is removed because the API server is away.

pub mod ending;
pub mod facts;
pub mod observed;
pub mod plan;
pub mod status;

pub mod act;
pub mod dispatch;
pub mod kill;
pub mod orphan;
pub mod static_pods;
pub mod status_writer;
pub mod worker;

pub mod backoff;
pub mod container_config;
pub mod dns;
pub mod downward;
pub mod env;
pub mod expand;
pub mod hooks;
pub mod hosts;
pub mod image;
pub mod paths;
pub mod references;
pub mod resources;
pub mod sandbox_config;
mod termination_message;

#[cfg(test)]
mod plan_test;
#[cfg(test)]
mod status_test;
