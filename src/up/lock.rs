//! One process per data directory.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

/// Held as long as the value lives, and let go by the kernel when the process dies.
pub struct DataDirLock(#[allow(dead_code)] Flock<File>);

impl DataDirLock {
    pub fn acquire(data_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(data_dir).with_context(|| format!("create {}", data_dir.display()))?;
        let path = data_dir.join("lock");
        let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self(lock)),
            Err((_, error)) => bail!(
                "another balsa up runs with --data-dir {} ({error}): stop it, or use another directory",
                data_dir.display()
            ),
        }
    }
}
