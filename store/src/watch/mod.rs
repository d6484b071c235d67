//! Watch: applied changes as ordered event streams.
//!
//! Guaranteed to each watcher: every revision from its start, once, in order, never split (but by `fragment`); a progress
//! notification at R comes after every event at or before R; if history is gone it is told so (`compact_revision`) and
//! ends. Ordered: `created` before the first event. *Not* promised: progress notifications during catch-up; that a
//! watcher hears of a revision at the same moment as another.
//!
//! ```text
//!            start in the past            caught up
//!  create ──► BEHIND ── catch_up reads ──► joins the hub: SYNCED ──► events through the stream's inbox
//!               ▲        from disk                          │
//!               └──── inbox full, or the state was replaced ┘        BEHIND and compacted ──► canceled
//! ```
//! The hub never waits: a stream that does not drain its inbox loses its place in the hub, not its events.
//! Source: etcd v3.6 `server/storage/mvcc/watchable_store.go`, `server/etcdserver/api/v3rpc/watch.go`.

pub mod catch_up;
pub mod counts;
pub mod event;
pub mod fragment;
pub mod hub;
pub mod inbox;
pub mod routes;
pub mod stream;
pub mod watcher;

pub use hub::WatchHub;
pub use stream::{StreamOptions, WatchStream};

#[cfg(test)]
mod watch_test;
