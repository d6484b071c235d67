//! openraft's own storage tests over our log on disk and our state machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use balsa_store::apply::{Applier, ApplyOptions};
use balsa_store::backend::RocksBackend;
use balsa_store::consensus::apply_thread;
use balsa_store::consensus::log_store::LogStore;
use balsa_store::consensus::snapshot::SnapshotRoot;
use balsa_store::consensus::state_machine::StateMachine;
use balsa_store::consensus::types::TypeConfig;
use balsa_store::consensus::wal::HostDisk;
use balsa_store::host::watch;
use balsa_store::metrics::LogMetrics;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tokio_util::task::TaskTracker;

/// Counts the open databases: RocksDB's own threads do not survive the end of a process that has not closed it.
struct Builder {
    databases: TaskTracker,
    /// Of all of them, and there until the last one is closed: closing writes, and would bring back what was removed.
    root: PathBuf,
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine> for Builder {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir_in(&self.root).expect("a temporary directory").keep();
        let log = LogStore::open(Arc::new(HostDisk), &dir.join("log"), (1, 1), LogMetrics::default(), None)
            .expect("opens");
        let open = Some(self.databases.token());
        let backend = Arc::new(RocksBackend::open(&dir.join("state"), open).expect("opens"));
        let (applier, ..) = Applier::open(backend, ApplyOptions::default()).expect("opens");
        let state = apply_thread::applied_state(&applier).expect("decodes");
        let apply = apply_thread::spawn(applier, watch::Sender::new(0)).expect("starts");
        let snapshots = SnapshotRoot::open(dir.join("snap")).expect("opens");
        Ok(((), log, StateMachine::new(apply, state, snapshots)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_storage_suite() {
    let databases = TaskTracker::new();
    let root = tempfile::tempdir().expect("a temporary directory");
    let builder = Builder { databases: databases.clone(), root: root.path().to_owned() };
    Suite::test_all(builder).await.expect("the suite passes");
    databases.close();
    let closed = tokio::time::timeout(Duration::from_secs(20), databases.wait()).await;
    closed.expect("every database is closed once nobody uses it");
}
