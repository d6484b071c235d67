//! The scheduler: gives each waiting pod a node.
//!
//! ```text
//! pod without node ──► queue: active ──► plan: filters, scores ──► assumed on a node ──► pods/binding ──► seen bound
//!                        ▲                   │ fits nowhere             │ binding failed
//!                        └─ back-off ◄─ unschedulable ◄─ (node or pod changed) ◄─┘
//! ```
//! One task owns queue and snapshot, so a decision is never made on a half-applied change; bindings run beside it. A pod counts
//! on its node from the decision on, not from the binding's arrival: the next decision sees it.
//! Source: the Kubernetes documentation, "Scheduling Framework".

mod bind;
pub(crate) mod filter;
mod node_selector;
mod plan;
#[cfg(test)]
mod plan_test;
mod queue;
#[cfg(test)]
mod queue_test;
mod resources;
mod run;
mod score;
pub(crate) mod snapshot;
mod topology;

pub use run::run_scheduler;
#[cfg(test)]
pub(crate) use run::run_with;
