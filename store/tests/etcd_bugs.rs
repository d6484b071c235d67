//! Bugs that etcd has had, one test each, named by its issue number: none of them is ours.
//!
//! Rows that need a process to die or to stand still are in `tests/store_faults/`, and rows that are one request and its
//! answer in `store/testdata/conformance/`.

#![allow(clippy::unwrap_used)]

#[path = "cluster/harness.rs"]
mod harness;
#[path = "etcd_bugs/leases.rs"]
mod leases;
#[path = "etcd_bugs/membership.rs"]
mod membership;
#[path = "etcd_bugs/snapshots.rs"]
mod snapshots;
#[path = "etcd_bugs/watcher.rs"]
mod watcher;
#[path = "etcd_bugs/watching.rs"]
mod watching;
