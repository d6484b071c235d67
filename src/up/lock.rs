//! One process per data directory, and one node.
//!
//! Under another node's name the containers below the directory would be strangers, and strangers are ended.

use std::fs::File;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use super::layout::Layout;
use super::settings::Settings;

/// Held as long as the value lives, and let go by the kernel when the process dies.
pub struct DataDirLock {
    _lock: Flock<File>,
}

impl DataDirLock {
    pub fn acquire(settings: &Settings) -> Result<Self> {
        let layout = &settings.layout;
        let data_dir = &layout.data_dir;
        std::fs::create_dir_all(data_dir).with_context(|| format!("create {}", data_dir.display()))?;
        let path = layout.lock_file();
        let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, error)) => bail!(
                "another balsa up runs with --data-dir {} ({error}): stop it, or use another directory",
                data_dir.display()
            ),
        };
        belongs_to(layout, &settings.node_name)?;
        Ok(Self { _lock: lock })
    }
}

/// The first start writes the name, the others compare.
fn belongs_to(layout: &Layout, node_name: &str) -> Result<()> {
    let path = layout.node_name_file();
    match std::fs::read_to_string(&path) {
        Ok(owner) if owner.trim() == node_name => Ok(()),
        Ok(owner) => bail!(
            "--data-dir {} belongs to the node {owner}, not to {node_name}: start with --node-name {owner}, or use another directory",
            layout.data_dir.display(),
            owner = owner.trim()
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::write(&path, format!("{node_name}\n"))
                .with_context(|| format!("write {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}
