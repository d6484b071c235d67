//! The disk that the raft log is on, as the log uses it. In earnest it is [`HostDisk`]; a simulator brings another one.
//!
//! Promised by a disk: what was written to a file is there after a power cut once [`LogFile::sync_data`] has returned and
//! [`Disk::syncing`] has, and names once [`Disk::sync_dir`] has. *Not* promised: anything about what was not synced.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::limits::LOG_SEGMENT_BYTES;

pub trait Disk: Debug + Send + Sync + 'static {
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes and locks a file. `WouldBlock` when another process holds it; what is returned holds it until it is dropped.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Debug + Send + Sync>>;

    /// Every file in `dir`, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;

    /// A synced file of `bytes` zeros, empty at first if there was one.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn LogFile>>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Names in a directory survive a power cut once this returns.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// How large a segment of the log is.
    fn segment_bytes(&self) -> u64;

    /// Whether a segment of zeros is so dear that it is made ahead of need.
    fn wants_spares(&self) -> bool;

    /// What is left to wait for of the syncs so far. `None`: a sync takes as long as its call.
    fn syncing(&self) -> Option<BoxFuture<'static, io::Result<()>>>;
}

pub trait LogFile: Debug + Send + Sync + 'static {
    fn read_all(&self) -> io::Result<Bytes>;
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
}

/// The files of this machine.
#[derive(Debug)]
pub struct HostDisk;

impl Disk for HostDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Debug + Send + Sync>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(source)) => Err(source),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn LogFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.set_len(bytes)?;
        file.sync_all()?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn segment_bytes(&self) -> u64 {
        LOG_SEGMENT_BYTES
    }

    fn wants_spares(&self) -> bool {
        true
    }

    fn syncing(&self) -> Option<BoxFuture<'static, io::Result<()>>> {
        None
    }
}

impl LogFile for File {
    fn read_all(&self) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        let mut file = self;
        file.read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
