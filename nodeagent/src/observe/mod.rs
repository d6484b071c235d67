//! Looking at what runs: the runtime's lists, probes, usage.

pub mod grpc;
pub mod http;
pub mod probe;
pub mod relist;
pub mod stats;

#[cfg(test)]
mod grpc_test;
#[cfg(test)]
mod probe_test;
