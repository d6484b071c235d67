//! `snapshot save | status | restore`: a whole store in one file, to keep, to look at, and to start a cluster from.
//!
//! `save` asks a server, ours or a stock one; the other two work on files alone and need no server.

pub mod restore;
pub mod save;
pub mod status;

use clap::Subcommand;

use super::failure::{ERROR, Failure};
use super::flags::Flags;
use crate::snapshot_file::FileError;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Stores an etcd node backend snapshot to a given file
    Save(save::Args),
    /// Gets backend snapshot status of a given file
    Status(status::Args),
    /// Restores an etcd member snapshot to a Balsa store directory
    Restore(Box<restore::Args>),
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Save(args) => save::run(flags, args).await,
        Verb::Status(args) => status::run(flags, &args),
        Verb::Restore(args) => restore::run(*args),
    }
}

/// An error of a file, with its causes, in one line.
pub(super) fn file_failure(error: &dyn std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    Failure::new(ERROR, text)
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        file_failure(&error)
    }
}
