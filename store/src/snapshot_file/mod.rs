//! etcd's snapshot file: what moves a whole store from here to a stock etcd, and from there to here.
//!
//! A snapshot file is a bbolt database (a tree of pages per *bucket*) with etcd's buckets in it, followed by the SHA-256
//! of all before. [`export`] writes one from a view of the state, in key order and with one open page per level of the
//! tree, so that memory does not grow with the store. [`restore`] makes a data directory of one, whoever wrote it.
//!
//! Promised: a stock `etcdctl snapshot status` and `restore` take what [`export`] writes; every revision, lease, alarm,
//! user and role survives both ways. *Not* promised: the same pages, or the same file, as stock would write.
//! Source: bbolt `page.go`, `db.go`; etcd v3.6 `server/storage/schema`.

pub mod copied;
pub mod export;
pub mod hash;
pub mod import;
pub mod page;
pub mod reader;
pub mod records;
pub mod restore;
pub mod seal;
pub mod status;
pub mod writer;

pub use reader::BoltFile;
pub use writer::BoltWriter;

use std::io;

use crate::backend::BackendError;

/// Why a snapshot file cannot be read or written. One sentence each.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("the snapshot file cannot be read")]
    Read(#[source] io::Error),
    #[error("the snapshot file cannot be written")]
    Write(#[source] io::Error),
    #[error("this is not a snapshot: neither of the two meta pages of a bbolt file is whole")]
    NotASnapshot,
    #[error("the snapshot is cut short: its pages need {need_bytes} bytes and there are {have_bytes}")]
    CutShort { need_bytes: u64, have_bytes: u64 },
    #[error("the snapshot is damaged at page {page}: {what}")]
    Damaged { page: u64, what: &'static str },
    #[error("the snapshot holds a record of the bucket {bucket} that does not parse: {key}")]
    Record { bucket: &'static str, key: String },
    #[error("the snapshot lacks the bucket {0}")]
    NoBucket(&'static str),
    #[error("snapshot missing hash but --skip-hash-check=false")]
    NoHash,
    #[error("expected sha256 {expected}, got {actual}")]
    Hash { expected: String, actual: String },
    #[error("the snapshot ends at the revision {last}, and {revision} is asked for")]
    Future { revision: i64, last: i64 },
    #[error("the revision {revision} has been compacted: the oldest in the snapshot is {compacted}")]
    Compacted { revision: i64, compacted: i64 },
    #[error("the state cannot be read or written")]
    State(#[from] BackendError),
    #[error("nobody waits for the snapshot any more")]
    Unwanted,
}
