//! A member whose parts run: how they are put together, and what it serves. [`crate::run`] says when.

mod serve;
mod start;

pub use start::Ground;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::consensus::ConsensusHandle;
use crate::consensus::start::Started;
use crate::http::Visitors;
use crate::metrics::Metrics;
use crate::server::Shared;
use crate::server::rpc_stats::RpcStats;

/// The core outlives the client ports, so that what is under way can end well.
pub struct Member {
    started: Started,
    shared: Shared,
    metrics: Arc<Metrics>,
    visitors: Arc<Visitors>,
    rpc_stats: RpcStats,
    tracker: TaskTracker,
    /// Counts open databases. RocksDB must be closed before the process ends: its own threads do not survive that.
    pub databases: TaskTracker,
    /// Stops the core.
    core: CancellationToken,
    /// Ends the streams of clients.
    clients: CancellationToken,
    /// Cancelled once this member has no place in the cluster any more.
    removed: CancellationToken,
}

impl Member {
    pub fn consensus(&self) -> &ConsensusHandle {
        &self.shared.identity.consensus
    }

    /// Cancelled once it has no place in the cluster any more.
    pub fn removed(&self) -> &CancellationToken {
        &self.removed
    }
}
