//! Fault injection, workloads, models and checkers for the whole system.
//!
//! | module | holds |
//! |---|---|
//! | [`lab`] | real processes on hosts made of network namespaces |
//! | [`cluster`] | a Kubernetes cluster of several machines on them |
//! | [`disk`] | a disk that loses what was not synced |
//! | [`faults`] | what is done to them, one verb per file |
//! | [`workloads`] | what clients do meanwhile |
//! | [`history`] | what clients and the lab saw |
//! | [`properties`] | what must hold of every history |
//! | [`scenario`] | a file that names all of these, and its run |
//! | [`report`] | what a run leaves behind |
//! | [`sim`] | the store's own code on a simulated clock, network and disk |
//! | [`measure`] | `./dev bench` |

pub mod cluster;
pub mod disk;
pub mod faults;
pub mod history;
pub mod lab;
pub mod measure;
pub mod properties;
pub mod report;
pub mod scenario;
pub mod sim;
pub mod workloads;
