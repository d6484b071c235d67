//! An etcd: linearizable, Raft-replicated, multi-version key-value store with watch and leases.
//!
//! The life of a write, one line a step:
//! 1. [`server::kv`] decodes the request and refuses what breaks a rule or a limit ([`limits`]).
//! 2. [`consensus::proposer`] gathers the commands that wait into one batch, one Raft entry.
//! 3. [`consensus::log_store`] makes the entry durable: one synced write for many entries.
//! 4. [`consensus::transport`] carries it to the followers at the same time.
//! 5. Once a majority holds it, [`consensus::state_machine`] hands it to [`apply`], in log order.
//! 6. [`apply`] changes [`mvcc`] and [`lease`] in one write batch with the applied position in it.
//! 7. [`watch`] tells the watchers; the reply goes back the way the command came.

pub mod apply;
pub mod args;
pub mod auth;
pub mod backend;
pub mod config;
pub mod consensus;
pub mod ctl;
pub mod error;
pub mod failpoint;
pub mod flags;
pub mod gateway;
pub mod host;
pub mod http;
pub mod lease;
pub mod limits;
pub mod member;
pub mod membership;
pub mod metrics;
pub mod mvcc;
pub mod revision;
pub mod run;
pub mod server;
pub mod snapshot_file;
pub mod status;
pub mod watch;

pub use args::Args;
pub use config::Config;
pub use error::Error;
pub use run::{StartError, run};
