//! Measurements: each prints rows of a table, medians with their spread.

pub mod cluster;
pub mod machine;
pub mod spread;
pub mod store;
