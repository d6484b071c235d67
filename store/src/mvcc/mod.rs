//! The multi-version store: every retained version of every key, readable at any retained revision.
//!
//! One writer ([`write::Writer`], driven by `apply`) and any number of readers ([`Mvcc`]). The writer publishes a new
//! [`Version`] after each batch is in the backend; a reader works on the version that it took and blocks nobody.
//!
//! Invariants: a version's index holds exactly the live keys at its revision; every live key of it has its record in
//! `kv` until a *later* version supersedes the record and a compaction removes it; records are removed only after the
//! compact revision that allows it has been published. So a reader that misses a record takes the newest version and
//! starts again. Source of the semantics: etcd v3.6 `server/storage/mvcc`.

pub mod alarms;
pub mod codec;
pub mod compaction;
pub mod counts;
pub mod hash;
pub mod history;
pub mod index;
pub mod key_range;
pub mod limits;
pub mod load;
pub mod range;
pub mod range_wire;
pub mod read;
pub mod scan;
pub mod times;
pub mod write;

use std::sync::Arc;

use arc_swap::ArcSwap;
use balsa_proto::etcd::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse};
use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::BytesMut;
use prost::Message;

pub use alarms::Alarms;
pub use counts::Counts;
pub use index::{Index, Live};
pub use key_range::{KeyRange, prefix_end};

use crate::auth::AuthState;
use crate::backend::{Backend, BackendSize};
use crate::error::Error;
use crate::host::watch;
use crate::membership::MemberTable;
use crate::revision::Revision;
use hash::CompactionHashes;
use read::{ReadError, Reader};

/// The state at one revision. Never changes.
#[derive(Debug, Clone)]
pub struct Version {
    pub backend: Arc<dyn Backend>,
    pub index: Index,
    pub revision: i64,
    /// The oldest readable revision; -1 if nothing was ever compacted.
    pub compact_revision: i64,
    pub members: Arc<MemberTable>,
    pub alarms: Arc<Alarms>,
    /// Users, roles and whether they count.
    pub auth: Arc<AuthState>,
}

/// The read handle. Every answer is of one version; later calls see later versions, never earlier ones.
#[derive(Clone, Debug)]
pub struct Mvcc {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    current: ArcSwap<Version>,
    /// The highest compaction whose removal is complete.
    removed: watch::Sender<i64>,
    counts: Counts,
    /// As in the current version, for those who wait for a change.
    members: watch::Sender<Arc<MemberTable>>,
    compaction_hashes: CompactionHashes,
}

impl Mvcc {
    pub(crate) fn new(version: Version, removed: i64) -> Self {
        let removed = watch::Sender::new(removed);
        let members = watch::Sender::new(version.members.clone());
        Self {
            shared: Arc::new(Shared {
                current: ArcSwap::from_pointee(version),
                removed,
                counts: Counts::default(),
                members,
                compaction_hashes: CompactionHashes::default(),
            }),
        }
    }

    pub(crate) fn publish(&self, version: Version) {
        let members = version.members.clone();
        self.shared.current.store(Arc::new(version));
        self.shared.members.send_if_modified(|current| {
            let changed = !Arc::ptr_eq(current, &members);
            *current = members;
            changed
        });
    }

    pub fn version(&self) -> Arc<Version> {
        self.shared.current.load_full()
    }

    /// Answers `request`; the header carries the store's current revision. A disk that cannot be read is `Corrupt`.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        self.shared.counts.ranges.add(1);
        self.consistent(|reader| reader.range(request))
    }

    /// Like [`Mvcc::range`], as the bytes of the reply, behind `room_bytes` for whoever frames them; `header` makes a whole
    /// header for a revision.
    pub fn range_wire(
        &self,
        request: &RangeRequest,
        header: impl Fn(i64) -> ResponseHeader,
        room_bytes: usize,
    ) -> Result<BytesMut, Error> {
        self.shared.counts.ranges.add(1);
        self.consistent(|reader| {
            let mut out = BytesMut::zeroed(room_bytes);
            if range_wire::is_plain(request) {
                return reader.range_wire(request, &header, out);
            }
            let mut response = reader.range(request)?;
            response.header = Some(header(reader.revision));
            out.reserve(response.encoded_len());
            response.encode(&mut out).expect("a buffer that grows has room");
            Ok(out)
        })
    }

    /// Answers a transaction that writes nothing (see [`crate::apply::txn::is_read_only`]).
    pub fn txn_read_only(&self, request: &TxnRequest) -> Result<TxnResponse, Error> {
        self.shared.counts.txns.add(1);
        self.consistent(|reader| crate::apply::txn::read_only(reader, request))
    }

    /// The version of `key` that was live at `revision`; `None` if there was none or history is gone.
    pub fn value_at(&self, key: &[u8], revision: i64) -> Result<Option<KeyValue>, Error> {
        if revision < self.compact_revision() {
            return Ok(None);
        }
        self.consistent(|reader| reader.value_at(key, revision))
    }

    pub fn revision(&self) -> i64 {
        self.shared.current.load().revision
    }

    /// -1 if nothing was ever compacted.
    pub fn compact_revision(&self) -> i64 {
        self.shared.current.load().compact_revision
    }

    pub fn key_count(&self) -> usize {
        self.shared.current.load().index.len()
    }

    pub fn db_size(&self) -> u64 {
        self.size().total_bytes
    }

    pub fn size(&self) -> BackendSize {
        self.shared.current.load().backend.size()
    }

    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    pub fn members(&self) -> Arc<MemberTable> {
        self.shared.current.load().members.clone()
    }

    pub fn watch_members(&self) -> watch::Receiver<Arc<MemberTable>> {
        self.shared.members.subscribe()
    }

    pub fn alarms(&self) -> Arc<Alarms> {
        self.shared.current.load().alarms.clone()
    }

    /// Users and roles as they are now.
    pub fn auth(&self) -> Arc<AuthState> {
        self.shared.current.load().auth.clone()
    }

    /// Returns once what `Compact(revision)` allows to remove is removed: the wait of a `physical` compaction.
    pub async fn compaction_removed(&self, revision: i64) {
        let mut removed = self.shared.removed.subscribe();
        // The sender lives as long as this handle, so the wait ends only with success.
        let _ = removed.wait_for(|done| *done >= revision).await;
    }

    pub(crate) fn compaction_done(&self, revision: i64) {
        self.shared.removed.send_replace(revision);
    }

    pub fn compaction_hashes(&self) -> &CompactionHashes {
        &self.shared.compaction_hashes
    }

    /// Runs `read` on the newest version, again if a compaction took a record away under it.
    fn consistent<T>(&self, read: impl Fn(&Reader<'_>) -> Result<T, ReadError>) -> Result<T, Error> {
        loop {
            let version = self.version();
            match read(&Reader::of(&version, Some(self))) {
                Ok(answer) => return Ok(answer),
                Err(ReadError::Client(error)) => return Err(error),
                Err(ReadError::Vanished) => {
                    assert!(
                        self.compact_revision() > version.compact_revision
                            || self.revision() > version.revision,
                        "a live record is missing at revision {}",
                        version.revision
                    );
                }
                Err(ReadError::Backend(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the state cannot be read");
                    return Err(Error::Corrupt);
                }
            }
        }
    }
}

/// The wire form of one version of a key.
pub(crate) fn key_value(
    key: bytes::Bytes,
    modified: Revision,
    meta: codec::Meta,
    value: bytes::Bytes,
) -> KeyValue {
    KeyValue {
        key,
        create_revision: meta.create_revision,
        mod_revision: modified.main,
        version: meta.version,
        value,
        lease: meta.lease,
    }
}

#[cfg(test)]
mod index_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod script_test;
