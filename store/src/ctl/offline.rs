//! What etcdutl does to a data directory whose member is stopped: `defrag` and `migrate`.

use std::path::PathBuf;

use super::failure::{BAD_ARGS, ERROR, Failure};
use super::say;
use super::snapshot::file_failure;
use crate::backend::{Backend, RocksBackend};
use crate::status::CLUSTER_VERSION;

/// `defrag --data-dir` of a member that does not run.
pub fn defragment(data_dir: &std::path::Path) -> Result<(), Failure> {
    let state = state_of(data_dir)?;
    let backend = RocksBackend::open(&state, None).map_err(|error| file_failure(&error))?;
    backend.defragment().map_err(|error| file_failure(&error))?;
    say(format!("Finished defragmenting directory[{}]\n", data_dir.display()))
}

fn state_of(data_dir: &std::path::Path) -> Result<PathBuf, Failure> {
    let state = data_dir.join("member").join("state");
    if state.is_dir() {
        return Ok(state);
    }
    let text = format!("{} is not the data directory of a Balsa store", data_dir.display());
    Err(Failure::new(ERROR, text))
}

#[derive(Debug, clap::Args)]
pub struct MigrateArgs {
    /// Path to the etcd data dir
    #[arg(long)]
    data_dir: PathBuf,
    /// Target etcd version to migrate contents of data dir
    #[arg(long)]
    target_version: String,
    /// Not supported: a storage version that does not fit the data is never written
    #[arg(long)]
    force: bool,
}

/// There is one layout of data, so that this either has nothing to do or cannot be done.
pub fn migrate(args: &MigrateArgs) -> Result<(), Failure> {
    state_of(&args.data_dir)?;
    if args.force {
        let text = "--force is not supported: a storage version that does not fit the data is never written";
        return Err(Failure::new(BAD_ARGS, text));
    }
    let own = CLUSTER_VERSION.trim_end_matches(".0");
    if args.target_version == own {
        return say(format!("storage version up-to-date: {own}\n"));
    }
    let text = format!(
        "a Balsa store has the storage version {own} alone; to move the data to an etcd {}, restore a snapshot of it there",
        args.target_version
    );
    Err(Failure::new(ERROR, text))
}
