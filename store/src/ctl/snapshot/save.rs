//! `snapshot save`: streams a snapshot of one server into a file, and checks its hash on the way.
//!
//! The file appears under its name only when it is whole and synced.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{SnapshotRequest, SnapshotResponse};
use sha2::{Digest, Sha256};
use tonic::Streaming;

use crate::ctl::failure::{BAD_ARGS, ERROR, Failure, IO};
use crate::ctl::flags::Flags;
use crate::ctl::{connect, say};
use crate::snapshot_file::seal::SEAL_BYTES;

#[derive(Debug, clap::Args)]
pub struct Args {
    filename: Vec<PathBuf>,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let [path] = &args.filename[..] else {
        return Err(Failure::bad_args("snapshot save expects one argument <filename>"));
    };
    let [endpoint] = &flags.endpoints[..] else {
        let text = format!(
            "snapshot must be requested to one selected node, not multiple [{}]",
            flags.endpoints.join(" ")
        );
        return Err(Failure::new(BAD_ARGS, text));
    };
    let partial = PathBuf::from(format!("{}.part", path.display()));
    let version = match fetch(flags, endpoint, &partial).await {
        Ok(version) => version,
        Err(failure) => {
            // Never opened, or of no use.
            let _ = std::fs::remove_file(&partial);
            return Err(failure);
        }
    };
    std::fs::rename(&partial, path).map_err(|error| {
        io_failure(&format!("could not rename {} to {}", partial.display(), path.display()), &error)
    })?;
    say(format!("Snapshot saved at {}\n", path.display()))?;
    if version.is_empty() { Ok(()) } else { say(format!("Server version {version}\n")) }
}

fn io_failure(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(IO, format!("{what} ({error})"))
}

/// The server's storage version; empty of a server older than 3.6. Not bounded by the command's time: a large store takes
/// long.
async fn fetch(flags: &Flags, endpoint: &str, partial: &Path) -> Result<String, Failure> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(partial)
        .map_err(|error| io_failure(&format!("could not open {}", partial.display()), &error))?;
    let mut client =
        MaintenanceClient::new(connect::one(flags, endpoint).await?).max_decoding_message_size(usize::MAX);
    let chunks = client.snapshot(SnapshotRequest {}).await.map_err(Failure::from)?.into_inner();
    let version = receive(chunks, &mut file).await?;
    file.sync_all().map_err(|error| io_failure("could not sync the snapshot", &error))?;
    Ok(version)
}

/// Writes what comes. The last message is the hash of all others, and is checked.
async fn receive(mut chunks: Streaming<SnapshotResponse>, file: &mut File) -> Result<String, Failure> {
    let mut progress = Progress::default();
    let mut hash = Sha256::new();
    let mut held: Option<SnapshotResponse> = None;
    let mut version = String::new();
    while let Some(chunk) = chunks.message().await.map_err(Failure::from)? {
        file.write_all(&chunk.blob).map_err(|error| io_failure("could not write the snapshot", &error))?;
        progress.show(&chunk);
        if let Some(before) = held.replace(chunk) {
            hash.update(&before.blob);
            version = before.version;
        }
    }
    progress.end();
    let seal = held.map(|last| last.blob).unwrap_or_default();
    if seal.len() as u64 != SEAL_BYTES || seal[..] != hash.finalize()[..] {
        return Err(Failure::new(ERROR, "the snapshot came without its sha256, or damaged: ask again"));
    }
    Ok(version)
}

/// Bytes so far, on a terminal only.
#[derive(Default)]
struct Progress {
    received_bytes: u64,
    shown_percent: Option<u64>,
}

impl Progress {
    fn show(&mut self, chunk: &SnapshotResponse) {
        self.received_bytes += chunk.blob.len() as u64;
        let total = self.received_bytes + chunk.remaining_bytes;
        let percent = self.received_bytes * 100 / total.max(1);
        if std::io::stderr().is_terminal() && self.shown_percent != Some(percent) {
            self.shown_percent = Some(percent);
            eprint!("\r{percent:>3} % of {total} bytes");
        }
    }

    fn end(&self) {
        if self.shown_percent.is_some() {
            eprintln!();
        }
    }
}
