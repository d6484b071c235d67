//! Apply: what a committed command does to the state. One command per file.
//!
//! Apply is a pure function of the log and the state: no clock (lease time is kept apart, by the leader), no randomness,
//! no look at how far a compaction's removal or a watcher has come. Every member ends with the same bytes.
//!
//! In: entries in log order. Out: one reply per command. All entries of one call reach the backend in one write batch
//! with the position of the last; only then are they visible to readers and watchers.

pub mod alarm;
pub mod applier;
pub mod auth;
pub mod capped;
pub mod check;
pub mod command;
pub mod compact;
pub mod compare;
pub mod delete_range;
pub mod lease_checkpoint;
pub mod lease_grant;
pub mod lease_revoke;
pub mod members;
pub mod put;
pub mod txn;

pub use applier::{AppliedPosition, Applier, ApplyOptions, FatalError, OpenError, Syncer};
pub use command::Reply;
