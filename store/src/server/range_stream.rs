//! `KV.RangeStream`: a list of any size in chunks, of one revision, with one chunk in memory.
//!
//! The first chunk has up to ten keys; the next ones double or halve towards the size of one request. Header, `more` and
//! `count` stand in the last chunk alone, so that a client that merges the chunks gets what `Range` would have answered.
//! A client that reads slowly is waited for. Source: etcd v3.7 `server/etcdserver/v3_server.go`.

use balsa_proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use balsa_proto::etcd::etcdserverpb::{RangeRequest, RangeResponse, RangeStreamResponse};
use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::error::Error;
use crate::host;
use crate::mvcc::scan::{Piece, Scan};
use crate::status::Identity;

/// Keys of the first chunk. etcd's value.
const FIRST_CHUNK_KEYS: usize = 10;
/// Chunks that wait for the network beside the one that is read.
const CHUNKS_IN_FLIGHT: usize = 1;

/// Refuses what cannot be answered piece by piece; clients fall back to `Range`.
pub fn check(request: &RangeRequest) -> Result<(), Status> {
    let in_key_order =
        request.sort_target == SortTarget::Key as i32 && request.sort_order != SortOrder::Descend as i32;
    if !in_key_order {
        return Err(Status::unimplemented("RangeStream does not support custom sort orders"));
    }
    let filters = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    if filters.iter().any(|filter| *filter != 0) {
        return Err(Status::unimplemented("RangeStream does not support revision filters"));
    }
    Ok(())
}

type Chunks = mpsc::Sender<Result<RangeStreamResponse, Status>>;

/// The answer to a request that [`check`] has passed.
pub fn chunks(
    identity: Identity,
    request: RangeRequest,
    target_bytes: usize,
) -> impl Stream<Item = Result<RangeStreamResponse, Status>> + Send + 'static {
    let (chunks, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    tokio::spawn(async move {
        if let Err(error) = send(&identity, request, target_bytes, &chunks).await {
            // A receiver that is gone needs no reason.
            drop(chunks.send(Err(error.into())).await);
        }
    });
    ReceiverStream::new(receiver)
}

async fn send(
    identity: &Identity,
    request: RangeRequest,
    target_bytes: usize,
    chunks: &Chunks,
) -> Result<(), Error> {
    let RangeRequest { key, range_end, revision, .. } = request.clone();
    let mut scan = Scan::new(identity.mvcc.clone(), key, range_end, revision)?;
    let mut total = Total { left: usize::try_from(request.limit).ok().filter(|limit| *limit > 0), count: 0 };
    if request.count_only {
        let (scan, count) = blocking(scan, |scan| scan.remaining()).await?;
        total.count = count;
        give(chunks, total.last(identity, &scan, Vec::new(), false)).await;
        return Ok(());
    }
    let mut limit = FIRST_CHUNK_KEYS;
    loop {
        let asked = total.left.map_or(limit, |left| limit.min(left));
        let (next, piece) = blocking(scan, move |scan| scan.next(asked, target_bytes)).await?;
        scan = next;
        let Piece { mut rows, perhaps_more } = piece;
        total.add(rows.len());
        let bytes = rows.iter().map(|row| row.key.len() + row.value.len()).sum();
        if request.keys_only {
            rows.iter_mut().for_each(|row| row.value = Bytes::new());
        }
        if !perhaps_more || total.left == Some(0) {
            let (scan, remaining) =
                if perhaps_more { blocking(scan, |scan| scan.remaining()).await? } else { (scan, 0) };
            total.count += remaining;
            give(chunks, total.last(identity, &scan, rows, remaining > 0)).await;
            return Ok(());
        }
        if !give(chunks, RangeResponse { kvs: rows, ..RangeResponse::default() }).await {
            return Ok(());
        }
        limit = adjusted(limit, bytes, target_bytes);
    }
}

/// What was sent, and what may be.
struct Total {
    /// `None`: no limit.
    left: Option<usize>,
    count: usize,
}

impl Total {
    fn add(&mut self, rows: usize) {
        self.count += rows;
        self.left = self.left.map(|left| left - rows);
    }

    fn last(&self, identity: &Identity, scan: &Scan, kvs: Vec<KeyValue>, more: bool) -> RangeResponse {
        let mut header = identity.header_without_revision();
        header.revision = scan.store_revision();
        RangeResponse { header: Some(header), kvs, more, count: self.count as i64 }
    }
}

/// Doubles or halves when a chunk was under half or over twice what it should be.
fn adjusted(limit: usize, bytes: usize, target_bytes: usize) -> usize {
    if bytes < target_bytes / 2 {
        limit.saturating_mul(2)
    } else if bytes > target_bytes.saturating_mul(2) {
        (limit / 2).max(1)
    } else {
        limit
    }
}

/// Reads away from the async workers.
async fn blocking<T: Send + 'static>(
    mut scan: Scan,
    read: impl FnOnce(&mut Scan) -> Result<T, Error> + Send + 'static,
) -> Result<(Scan, T), Error> {
    let work = host::spawn_blocking(move || read(&mut scan).map(|answer| (scan, answer)));
    work.await.unwrap_or(Err(Error::Stopped))
}

/// False if nobody listens any more.
async fn give(chunks: &Chunks, response: RangeResponse) -> bool {
    chunks.send(Ok(RangeStreamResponse { range_response: Some(response) })).await.is_ok()
}
