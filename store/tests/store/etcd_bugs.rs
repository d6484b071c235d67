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
//! | who may do what (CVE-2026-33343, CVE-2026-33413, GHSA-xg4h-6gfc-h4m8, and what 3.6.11 fixed) | `store/tests/store/auth.rs`, `store/src/auth/permit_test.rs`, `store/testdata/conformance_json` |
//! | who belongs to the cluster | `store/tests/store/cluster/membership.rs` |
//! | the quota | `store/tests/store/space.rs`, `store/src/apply/capped.rs` |
//! | revisions after a restore | `store/tests/store/snapshot.rs` |
//! | one request and its answer | `store/testdata/conformance` |

mod leases;
mod membership;
mod snapshots;
mod watcher;
mod watching;
