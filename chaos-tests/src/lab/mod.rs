//! The host lab: real processes on hosts of their own, on one machine.
//!
//! A [`Host`] is a network namespace with an address, joined to an outside world that is a namespace too, so that
//! nothing of a test touches the machine's own network. A [`Process`] runs on a host, logs into a file, and dies with its
//! owner. A [`Cluster`] is `balsa up` on a host, with kubectl beside it. A [`StoreCluster`] is a store of several members,
//! each on a host of a [`Network`], with a [`Gateway`] for clients.

pub mod arena;
pub mod authority;
pub mod clock;
pub mod cluster;
pub mod gateway;
pub mod host;
pub mod member;
pub mod membership;
pub mod network;
pub mod process;
pub mod store_cluster;
pub mod sweep;
pub mod wait;

pub use authority::Authority;
pub use cluster::Cluster;
pub use gateway::Gateway;
pub use host::Host;
pub use member::{Condition, Member};
pub use network::Network;
pub use process::Process;
pub use store_cluster::{Setup, StoreCluster, Target};
pub use wait::eventually;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// A binary of this project: from `BALSA_BIN_DIR`, or beside the running test.
pub fn binary(name: &str) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("BALSA_BIN_DIR") {
        let path = PathBuf::from(dir).join(name);
        anyhow::ensure!(path.exists(), "{} is not there: build it with cargo build --bins", path.display());
        return Ok(path);
    }
    let own = std::env::current_exe().context("find the running test's own path")?;
    // target/debug/deps/<test> or target/debug/<bin>
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.exists());
    found.with_context(|| format!("{name} is not built: cargo build --bins, or set BALSA_BIN_DIR"))
}
