//! Snapshots: directories of plain files, made by a checkpoint of the state and removed when nobody holds them.
//!
//! A snapshot that raft *builds* to be allowed to purge its log has no files: the state itself is on disk and is what
//! the member starts from. Files are made when a follower needs them, from the state of that moment.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What travels with snapshot metadata through raft. `None`: the state behind it is this member's own.
#[derive(Debug, Clone)]
pub struct SnapshotFiles(pub Option<Arc<SnapshotDir>>);

/// A directory of one snapshot; removed on drop.
#[derive(Debug)]
pub struct SnapshotDir {
    path: PathBuf,
}

impl SnapshotDir {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SnapshotDir {
    fn drop(&mut self) {
        // Already gone when a receiving member has taken the files over.
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a snapshot directory stays behind");
        }
    }
}

/// Hands out names for snapshot directories below `<data-dir>/member/snap`.
#[derive(Debug, Clone)]
pub struct SnapshotRoot {
    root: PathBuf,
    next: Arc<AtomicU64>,
}

impl SnapshotRoot {
    /// Removes what an earlier run left behind: no snapshot outlives the process.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        if root.exists() {
            std::fs::remove_dir_all(&root)?;
        }
        std::fs::create_dir_all(&root)?;
        Ok(SnapshotRoot { root, next: Arc::default() })
    }

    /// A name that is not taken; the directory does not exist yet.
    pub fn outgoing(&self) -> SnapshotDir {
        self.name("out")
    }

    /// A file without a name, for reading and writing: it is gone when this process is.
    pub fn temporary_file(&self) -> io::Result<File> {
        let path = self.root.join(format!("file-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }

    /// A new, empty directory.
    pub fn incoming(&self) -> io::Result<SnapshotDir> {
        let dir = self.name("in");
        std::fs::create_dir_all(&dir.path)?;
        Ok(dir)
    }

    fn name(&self, prefix: &str) -> SnapshotDir {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        SnapshotDir { path: self.root.join(format!("{prefix}-{number}")) }
    }
}
