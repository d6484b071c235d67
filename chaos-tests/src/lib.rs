//! Fault injection, workloads, models and checkers for the whole system.
//!
//! [`lab`] runs real processes on hosts made of network namespaces; the end-to-end tests and [`measure`] use it.

pub mod lab;
pub mod measure;
