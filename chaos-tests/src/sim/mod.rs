//! The simulator: the store's own code, three or five members of it and their clients, in one process, on a simulated
//! clock, network and disk. One seed decides everything, and the same seed gives the same trace, byte for byte.
//!
//! Real is all that the store does: its services with what stands before them, consensus, the raft log's files, apply, the
//! versions, watches and leases. Simulated is what it stands on (see `store/src/host/mod.rs`): threads are tasks on one
//! thread, sleeping is waiting for the world's clock, the log's disk forgets what was not synced, the state loses whole
//! batches at a power cut, and calls are packets on a network that loses, delays, repeats and cuts.
//! Not simulated: TLS, HTTP/2 with its flow control, RocksDB. The lab is for these.
//!
//! Read [`world`] first, then [`run`].

mod appends;
mod call;
mod clients;
mod disk;
mod finals;
pub mod folder;
mod grpc;
mod locks;
pub mod machine;
mod member;
mod network;
mod observe;
mod panics;
mod replace;
pub mod report;
pub mod run;
pub mod sabotage;
pub mod schedule;
pub mod shrink;
pub mod sightings;
mod state;
pub mod trace;
mod watches;
mod world;
