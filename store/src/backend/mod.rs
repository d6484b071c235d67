//! Where the state lives: ordered column families with atomic batches and consistent views.
//!
//! Guaranteed: a [`WriteBatch`] is applied whole or not at all, also across a crash; a [`View`] never changes while it
//! is held and never blocks a writer. Ordered: a [`Cursor`] walks keys bytewise. *Not* promised: that a write survives a
//! power cut before [`Backend::sync`]: the raft log is the durable record and is replayed from the applied position.

pub mod batch;
pub mod memory;
pub mod rocks;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

pub use batch::{Change, WriteBatch};
pub use memory::MemoryBackend;
pub use rocks::RocksBackend;

/// The column families of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Single records: applied position, revisions, member attributes.
    Meta,
    /// `(user key, revision descending)` → metadata and value.
    Kv,
    /// `(revision, sub)` → kind, metadata and key; what happened, in order, without values.
    Log,
    /// Lease id → time to live.
    Lease,
}

impl Column {
    pub const ALL: [Column; 4] = [Column::Meta, Column::Kv, Column::Log, Column::Lease];

    pub const fn name(self) -> &'static str {
        match self {
            // RocksDB insists on a column family of this name.
            Column::Meta => "default",
            Column::Kv => "kv",
            Column::Log => "log",
            Column::Lease => "lease",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error("open the state in {path}")]
    Open { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "the file {path} is missing, which names the state in force: restore the member from a snapshot, or add it anew"
    )]
    NoPointer { path: PathBuf },
    #[error(
        "the state has format {found} and this program knows formats up to {known}: it was written by a newer Balsa, so start that one, or restore a snapshot"
    )]
    Newer { found: i64, known: i64 },
    #[error("read the column family {column}")]
    Read { column: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("write a batch")]
    Write { source: Box<dyn std::error::Error + Send + Sync> },
    #[error("rewrite the column family {column}")]
    Defragment { column: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("make a checkpoint in {path}")]
    Checkpoint { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("install the checkpoint {path}")]
    Install { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the record {key} of the column family {column} does not parse")]
    Corrupt { column: &'static str, key: String },
}

/// One place that holds the state: RocksDB in earnest, memory in tests and in simulation.
pub trait Backend: Send + Sync + std::fmt::Debug + 'static {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, BackendError>;

    fn write(&self, batch: &WriteBatch) -> Result<(), BackendError>;

    /// Calls `read` with a view of this moment.
    fn view(&self, read: &mut dyn FnMut(&dyn View)) -> Result<(), BackendError>;

    /// Makes every earlier write survive a power cut.
    fn sync(&self) -> Result<(), BackendError>;

    /// Writes the state of this moment into `dir`, which must not exist: plain files, no folders.
    fn checkpoint(&self, dir: &Path) -> Result<(), BackendError>;

    /// Takes over a directory that [`Backend::checkpoint`] wrote, and makes it what the next start opens. Whoever still
    /// holds `self` goes on reading the old state.
    fn install(&self, dir: &Path) -> Result<Arc<dyn Backend>, BackendError>;

    /// Gives the space of what was deleted back, beside reads and writes. Takes as long as rewriting everything.
    fn defragment(&self) -> Result<(), BackendError>;

    /// Bytes taken up, and bytes that a full compaction would leave.
    fn size(&self) -> BackendSize;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackendSize {
    pub total_bytes: u64,
    pub in_use_bytes: u64,
}

/// The state as it was at one moment.
pub trait View {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, BackendError>;

    /// A cursor that sees only keys in `[lower, upper)`; an empty `upper` is the end of the column.
    fn cursor(&self, column: Column, lower: &[u8], upper: &[u8]) -> Box<dyn Cursor + '_>;
}

/// A position in a column. A fresh cursor stands nowhere: seek first.
pub trait Cursor {
    /// To the first key at or after `key`.
    fn seek(&mut self, key: &[u8]) -> Result<(), BackendError>;
    /// To the last key at or before `key`.
    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), BackendError>;
    fn seek_to_last(&mut self) -> Result<(), BackendError>;
    fn next(&mut self) -> Result<(), BackendError>;
    fn prev(&mut self) -> Result<(), BackendError>;
    /// The record under the cursor; `None` past either end.
    fn item(&self) -> Option<(&[u8], &[u8])>;
}

impl dyn Backend {
    /// [`Backend::view`] for a closure that returns something.
    pub fn read<T>(
        &self,
        mut read: impl FnMut(&dyn View) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let mut outcome = None;
        self.view(&mut |view| outcome = Some(read(view)))?;
        outcome.expect("a backend calls the reader exactly once")
    }
}
