//! `Maintenance.Defragment`: gives the space of what was deleted back to the file system, while reads and writes go on.
//!
//! RocksDB does so by itself over time. This asks for all of it now: the tables are rewritten beside the ones in use, and
//! the answer comes when that is done. One at a time: a second request waits for the first.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use crate::error::Error;
use crate::host;
use crate::mvcc::Mvcc;
use crate::status::Identity;

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Defragmenter {
    turn: Arc<Mutex<()>>,
}

impl Defragmenter {
    pub async fn run(&self, identity: &Identity) -> Result<(), Error> {
        let turn = self.turn.clone().lock_owned().await;
        let (mvcc, consensus) = (identity.mvcc.clone(), identity.consensus.clone());
        // A client that goes away does not end the work, so that its turn goes with the work.
        let work = host::spawn_blocking(move || {
            let _turn = turn;
            let metrics = consensus.metrics();
            let _held = metrics.defragmentations.held();
            let began = Instant::now();
            defragment(&mvcc).inspect(|()| metrics.defragment_seconds.observe(began.elapsed().as_secs_f64()))
        });
        work.await.unwrap_or(Err(Error::Stopped))
    }
}

fn defragment(mvcc: &Mvcc) -> Result<(), Error> {
    let (started, before) = (Instant::now(), mvcc.db_size());
    mvcc.version().backend.defragment().map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "defragmentation stopped");
        Error::Corrupt
    })?;
    tracing::info!(took = ?started.elapsed(), before_bytes = before, after_bytes = mvcc.db_size(), "finished defragmenting");
    Ok(())
}
