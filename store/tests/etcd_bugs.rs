//! Bugs that etcd has had, one test each, named by its issue number: none of them is ours.
//!
//! Here are those that need a cluster. The others stand where their harness is, with the number in their name:
//!
//! | what went wrong in etcd | tests |
//! |---|---|
//! | crashes in the middle of a write, a compaction, a defragmentation, a snapshot | `tests/store_faults/crash.rs` |
//! | a power cut | `tests/store_faults/power.rs` |
//! | a leader that stands still and wakes up | `tests/store_faults/pause.rs` |
//! | secrets in logs and pages | `tests/store_faults/secrets.rs` |
//! | leases, whatever happens in whatever order | `store/src/lease/model_test.rs` |
//! | who may do what | `store/tests/auth.rs`, `store/src/auth/permit_test.rs`, `store/testdata/conformance_json` |
//! | who belongs to the cluster | `store/tests/cluster/membership.rs` |
//! | the quota | `store/tests/space.rs`, `store/src/apply/capped.rs` |
//! | revisions after a restore | `store/tests/snapshot.rs` |
//! | one request and its answer | `store/testdata/conformance` |

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
