//! The node's own object: registered once, kept alive by a Lease, its status written when it changes.

pub mod capacity;
pub mod conditions;
pub mod heartbeat;
pub mod info;
pub mod ready;
pub mod register;
pub mod thresholds;
