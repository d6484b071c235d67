//! A snapshot on its way from the leader's disk to a follower's.
//!
//! Header, then the chunks of one file after the other, then a trailer with the totals. Every chunk carries a
//! checksum; a stream without its trailer is not a snapshot.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balsa_proto::store::snapshot_part::Part;
use balsa_proto::store::{SnapshotChunk, SnapshotHeader, SnapshotPart, SnapshotTrailer};
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::snapshot::SnapshotDir;
use super::types::{SnapshotMeta, Vote};
use super::{codec, wire};
use crate::host;
use crate::limits::{SNAPSHOT_CHUNK_BYTES, SNAPSHOT_CHUNKS_IN_FLIGHT};

#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("the stream broke off")]
    Stream(#[source] Box<Status>),
    #[error("the stream is out of order: {0}")]
    Order(&'static str),
    #[error("the file name {0:?} is not a plain name")]
    Name(String),
    #[error("a chunk of {0} has a wrong checksum")]
    Checksum(String),
    #[error("the trailer says {want:?} files and bytes, {have:?} came")]
    Totals { want: (u64, u64), have: (u64, u64) },
    #[error("the header does not decode")]
    Header(#[from] wire::WireError),
    #[error("write the snapshot")]
    Io(#[from] io::Error),
}

pub fn header(vote: &Vote, meta: &SnapshotMeta) -> SnapshotHeader {
    SnapshotHeader {
        vote: Some(wire::vote_to(vote)),
        last_log: meta.last_log_id.as_ref().map(wire::log_id_to),
        membership: codec::encode_membership(&meta.last_membership),
    }
}

pub fn parse_header(header: SnapshotHeader) -> Result<(Vote, SnapshotMeta), ReceiveError> {
    let vote = wire::vote_from(header.vote)?;
    let last_membership = codec::decode_membership(&header.membership).map_err(wire::WireError::from)?;
    Ok((vote, SnapshotMeta { last_log_id: header.last_log.map(wire::log_id_from), last_membership }))
}

/// The parts of a snapshot, read by a blocking task as the network takes them. Keeps the directory until it is done.
pub fn send(
    header: SnapshotHeader,
    dir: Arc<SnapshotDir>,
) -> impl Stream<Item = SnapshotPart> + Send + 'static {
    let (parts, receiver) = mpsc::channel(SNAPSHOT_CHUNKS_IN_FLIGHT);
    host::spawn_blocking_future(async move {
        // Without its trailer the stream is refused by the receiver, which is how a read error reaches it.
        if let Err(error) = send_all(header, dir.path(), &parts).await {
            tracing::warn!(%error, "a snapshot was not sent whole");
        }
    });
    ReceiverStream::new(receiver)
}

async fn send_all(header: SnapshotHeader, dir: &Path, parts: &mpsc::Sender<SnapshotPart>) -> io::Result<()> {
    put(parts, Part::Header(header)).await?;
    let mut totals = SnapshotTrailer::default();
    for item in std::fs::read_dir(dir)? {
        let item = item?;
        let name = item.file_name().into_string().map_err(|_| io::Error::other("file name is not UTF-8"))?;
        totals.total_bytes += send_file(&item.path(), &name, parts).await?;
        totals.file_count += 1;
    }
    put(parts, Part::Trailer(totals)).await
}

async fn put(parts: &mpsc::Sender<SnapshotPart>, part: Part) -> io::Result<()> {
    let part = SnapshotPart { part: Some(part) };
    parts.send(part).await.map_err(|_| io::Error::other("the receiver is gone"))
}

async fn send_file(path: &Path, name: &str, parts: &mpsc::Sender<SnapshotPart>) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut total = 0;
    loop {
        let mut data = Vec::with_capacity(SNAPSHOT_CHUNK_BYTES);
        let read = (&mut file).take(SNAPSHOT_CHUNK_BYTES as u64).read_to_end(&mut data)?;
        if read == 0 && total > 0 {
            return Ok(total);
        }
        total += read as u64;
        let crc32c = crc32c::crc32c(&data);
        put(parts, Part::Chunk(SnapshotChunk { file: name.to_owned(), data: data.into(), crc32c })).await?;
        if read < SNAPSHOT_CHUNK_BYTES {
            return Ok(total);
        }
    }
}

/// The first part of a stream.
pub async fn receive_header(parts: &mut Streaming<SnapshotPart>) -> Result<SnapshotHeader, ReceiveError> {
    match next(parts).await? {
        Some(Part::Header(header)) => Ok(header),
        _ => Err(ReceiveError::Order("the header must come first")),
    }
}

/// Everything after the header, written and synced into `dir`. How long the syncs took.
pub async fn receive_files(
    parts: &mut Streaming<SnapshotPart>,
    dir: &Path,
) -> Result<Duration, ReceiveError> {
    let mut syncing = Duration::ZERO;
    let mut current: Option<(String, File)> = None;
    let mut have = (0, 0);
    loop {
        match next(parts).await? {
            Some(Part::Chunk(chunk)) => {
                check(&chunk)?;
                have.1 += chunk.data.len() as u64;
                let same = current.as_ref().is_some_and(|(name, _)| *name == chunk.file);
                // Writing a chunk to the page cache does not block for long; the syncs do.
                if !same {
                    syncing += finish(current.take()).await?;
                    current = Some((chunk.file.clone(), File::create_new(dir.join(&chunk.file))?));
                    have.0 += 1;
                }
                let (_, file) = current.as_mut().expect("set above");
                file.write_all(&chunk.data)?;
            }
            Some(Part::Trailer(SnapshotTrailer { file_count, total_bytes })) => {
                syncing += finish(current.take()).await?;
                let want = (file_count, total_bytes);
                return if want == have { Ok(syncing) } else { Err(ReceiveError::Totals { want, have }) };
            }
            Some(Part::Header(_)) => return Err(ReceiveError::Order("a second header")),
            None => return Err(ReceiveError::Order("no trailer")),
        }
    }
}

async fn next(parts: &mut Streaming<SnapshotPart>) -> Result<Option<Part>, ReceiveError> {
    let part = parts.message().await.map_err(|status| ReceiveError::Stream(Box::new(status)))?;
    Ok(part.and_then(|part| part.part))
}

fn check(chunk: &SnapshotChunk) -> Result<(), ReceiveError> {
    let plain =
        !chunk.file.is_empty() && !chunk.file.starts_with('.') && !chunk.file.contains(['/', '\\', '\0']);
    if !plain {
        return Err(ReceiveError::Name(chunk.file.clone()));
    }
    if crc32c::crc32c(&chunk.data) != chunk.crc32c {
        return Err(ReceiveError::Checksum(chunk.file.clone()));
    }
    Ok(())
}

/// How long it took.
async fn finish(file: Option<(String, File)>) -> io::Result<Duration> {
    let Some((_, file)) = file else { return Ok(Duration::ZERO) };
    let began = Instant::now();
    host::spawn_blocking(move || file.sync_all()).await.map_err(io::Error::other)??;
    Ok(began.elapsed())
}
