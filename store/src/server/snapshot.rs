//! `Maintenance.Snapshot`: the state of one moment as an etcd snapshot file, while writes go on.
//!
//! The file is built from a view of the state in an unlinked temporary file below the data directory, since its first
//! pages depend on its last ones, and is then sent in chunks; the last message is the SHA-256 of all chunks. Memory is one
//! chunk per place in the channel. A client that goes away ends the work at its next step. Half of the time it rests, since
//! writers wait while readers of the whole state have the processor.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom};
use std::time::Instant;

use balsa_proto::etcd::etcdserverpb::SnapshotResponse;
use bytes::Bytes;
use futures::Stream;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::consensus::snapshot::SnapshotRoot;
use crate::error::Error;
use crate::host::{self, Pace};
use crate::limits::{SNAPSHOT_CHUNK_BYTES, SNAPSHOT_CHUNKS_IN_FLIGHT};
use crate::snapshot_file::{FileError, export};
use crate::status::{CLUSTER_VERSION, Identity};

type Chunks = mpsc::Sender<Result<SnapshotResponse, Status>>;

/// The messages of one snapshot. Stops early at `shutdown`.
pub fn stream(
    identity: Identity,
    files: SnapshotRoot,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<SnapshotResponse, Status>> + Send + 'static {
    let (chunks, receiver) = mpsc::channel(SNAPSHOT_CHUNKS_IN_FLIGHT);
    host::spawn_blocking_future(async move {
        match build_and_send(&identity, &files, &shutdown, &chunks).await {
            Ok(()) | Err(FileError::Unwanted) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a snapshot file was not made");
                // A receiver that is gone needs no reason.
                drop(chunks.send(Err(Status::internal(error.to_string()))).await);
            }
        }
    });
    ReceiverStream::new(receiver)
}

async fn build_and_send(
    identity: &Identity,
    files: &SnapshotRoot,
    shutdown: &CancellationToken,
    chunks: &Chunks,
) -> Result<(), FileError> {
    let began = Instant::now();
    let wanted = || !chunks.is_closed() && !shutdown.is_cancelled();
    let (mut file, total_bytes) = build(identity, files, wanted)?;
    send(&mut file, total_bytes, shutdown, chunks).await?;
    identity.consensus.metrics().snapshot_file_seconds.observe(began.elapsed().as_secs_f64());
    Ok(())
}

/// The file, and how many bytes it has.
fn build(
    identity: &Identity,
    files: &SnapshotRoot,
    wanted: impl Fn() -> bool,
) -> Result<(File, u64), FileError> {
    let mut file = files.temporary_file().map_err(FileError::Write)?;
    let mut outcome: Result<u64, FileError> = Err(FileError::Unwanted);
    let pace = Pace::begin();
    let step = || {
        pace.rest();
        wanted()
    };
    identity.mvcc.version().backend.view(&mut |view| {
        outcome = export::export(view, BufWriter::with_capacity(SNAPSHOT_CHUNK_BYTES, &mut file), step);
    })?;
    outcome.map(|total_bytes| (file, total_bytes))
}

async fn send(
    file: &mut File,
    total_bytes: u64,
    shutdown: &CancellationToken,
    chunks: &Chunks,
) -> Result<(), FileError> {
    file.seek(SeekFrom::Start(0)).map_err(FileError::Read)?;
    let pace = Pace::begin();
    let mut hash = Sha256::new();
    let mut remaining_bytes = total_bytes;
    while remaining_bytes > 0 {
        let mut blob = vec![0; remaining_bytes.min(SNAPSHOT_CHUNK_BYTES as u64) as usize];
        file.read_exact(&mut blob).map_err(FileError::Read)?;
        hash.update(&blob);
        remaining_bytes -= blob.len() as u64;
        if shutdown.is_cancelled() {
            // A receiver that is gone needs no reason.
            drop(chunks.send(Err(Error::Stopped.into())).await);
            return Err(FileError::Unwanted);
        }
        pace.rest();
        give(chunks, remaining_bytes, blob.into()).await?;
        pace.restart();
    }
    give(chunks, 0, hash.finalize().to_vec().into()).await
}

async fn give(chunks: &Chunks, remaining_bytes: u64, blob: Bytes) -> Result<(), FileError> {
    let message =
        SnapshotResponse { header: None, remaining_bytes, blob, version: CLUSTER_VERSION.to_owned() };
    chunks.send(Ok(message)).await.map_err(|_| FileError::Unwanted)
}
