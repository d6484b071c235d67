//! One process per data directory.

use std::fs::File;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use super::layout::Layout;

/// Held as long as the value lives, and let go by the kernel when the process dies.
pub struct DataDirLock {
    _lock: Flock<File>,
}

impl DataDirLock {
    pub fn acquire(layout: &Layout) -> Result<Self> {
        let data_dir = &layout.data_dir;
        std::fs::create_dir_all(data_dir).with_context(|| format!("create {}", data_dir.display()))?;
        let path = layout.lock_file();
        let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err((_, error)) => bail!(
                "another balsa up runs with --data-dir {} ({error}): stop it, or use another directory",
                data_dir.display()
            ),
        }
    }
}
