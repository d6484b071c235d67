//! The single writer: changes pile up in one batch over a private copy of the index, and become visible together.
//!
//! [`Writer::begin`] opens a change set (one command); its first effective change takes the next main revision, and all
//! later ones share it. [`Writer::commit`] writes the batch and returns the new version to publish.

use std::sync::Arc;

use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;

use super::codec::{self, Kind, Meta, Record};
use super::read::{Pending, ReadError, Reader};
use super::{Alarms, KeyRange, Live, Version, load};
use crate::auth::AuthState;
use crate::backend::{BackendError, Column, WriteBatch};
use crate::membership::MemberTable;
use crate::revision::Revision;

/// A change of one key, as watchers will hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub revision: Revision,
    pub kind: Kind,
    /// Of a delete: key and `mod_revision` only.
    pub kv: KeyValue,
    /// Where the version that was replaced stands, if there was one.
    pub previous: Option<Revision>,
    /// The lease that the replaced version was attached to; 0 for none.
    pub previous_lease: i64,
}

#[derive(Debug)]
pub struct Writer {
    version: Version,
    batch: WriteBatch,
    pending: Pending,
    /// Effective changes of the open change set.
    changes: Vec<Changed>,
    /// Once per start is enough.
    format_written: bool,
    /// The time of the last revision, milliseconds since 1970.
    made_unix_ms: Option<i64>,
}

impl Writer {
    /// `made_unix_ms`: the time of the last revision in the state, if it is known.
    pub fn new(version: Version, made_unix_ms: Option<i64>) -> Self {
        Self {
            version,
            batch: WriteBatch::default(),
            pending: Pending::new(),
            changes: Vec::new(),
            format_written: false,
            made_unix_ms,
        }
    }

    /// The state including every change so far, also those of the open change set.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            pending: Some(&self.pending),
            revision: self.revision(),
            live: None,
            ..Reader::of(&self.version, None)
        }
    }

    /// The main revision of the last change, the open change set's own if it has changed something.
    pub fn revision(&self) -> i64 {
        self.version.revision + i64::from(!self.changes.is_empty())
    }

    pub fn compact_revision(&self) -> i64 {
        self.version.compact_revision
    }

    pub fn batch(&mut self) -> &mut WriteBatch {
        &mut self.batch
    }

    pub fn set_compact_revision(&mut self, revision: i64) {
        self.version.compact_revision = revision;
    }

    pub fn members(&self) -> &MemberTable {
        &self.version.members
    }

    pub fn set_members(&mut self, members: MemberTable) {
        self.version.members = Arc::new(members);
    }

    pub fn alarms(&self) -> &Alarms {
        &self.version.alarms
    }

    pub fn alarms_mut(&mut self) -> &mut Alarms {
        Arc::make_mut(&mut self.version.alarms)
    }

    pub fn auth(&self) -> &Arc<AuthState> {
        &self.version.auth
    }

    pub fn auth_mut(&mut self) -> &mut AuthState {
        Arc::make_mut(&mut self.version.auth)
    }

    pub fn put(&mut self, key: &Bytes, value: Bytes, lease: i64) {
        let revision = self.next_revision();
        let replaced = self.version.index.get(key).copied();
        let live = Live {
            modified: revision,
            create_revision: replaced.map_or(revision.main, |live| live.create_revision),
            version: replaced.map_or(1, |live| live.version + 1),
            lease,
        };
        self.record(key, revision, live.meta(), &value);
        self.version.index.insert(key, live);
        let kv = super::key_value(key.clone(), revision, live.meta(), value);
        self.change(revision, Kind::Put, kv, replaced);
    }

    /// Deletes the live keys of the range in key order; returns how many there were.
    pub fn delete_range(&mut self, range: &KeyRange) -> usize {
        if range.is_empty() {
            return 0;
        }
        let keys: Vec<Arc<[u8]>> =
            self.version.index.range(range, 0).into_iter().map(|(key, _)| key).collect();
        for key in &keys {
            self.delete(key);
        }
        keys.len()
    }

    fn delete(&mut self, key: &[u8]) {
        let revision = self.next_revision();
        let replaced = self.version.index.remove(key);
        self.record(key, revision, Meta::TOMBSTONE, b"");
        let kv =
            KeyValue { key: Bytes::copy_from_slice(key), mod_revision: revision.main, ..KeyValue::default() };
        self.change(revision, Kind::Delete, kv, replaced);
    }

    /// Ends the open change set, which was made at `unix_ms`. Its changes, in order; empty if nothing happened, and then no
    /// revision was used.
    pub fn finish(&mut self, unix_ms: i64) -> Vec<Changed> {
        self.version.revision = self.revision();
        if !self.changes.is_empty() && self.made_unix_ms != Some(unix_ms) {
            super::times::record(&mut self.batch, self.version.revision, unix_ms);
            self.made_unix_ms = Some(unix_ms);
        }
        std::mem::take(&mut self.changes)
    }

    /// Writes everything since the last commit in one batch, `extra` included. What to publish is returned.
    pub fn commit(&mut self, extra: impl FnOnce(&mut WriteBatch)) -> Result<Version, BackendError> {
        assert!(self.changes.is_empty(), "a change set is finished before the batch is written");
        extra(&mut self.batch);
        if !self.format_written {
            self.batch.put(Column::Meta, load::FORMAT_VERSION, codec::i64_value(load::FORMAT));
            self.format_written = true;
        }
        self.batch.put(Column::Meta, load::REVISION, codec::i64_value(self.version.revision));
        self.version.backend.write(&self.batch)?;
        self.batch = WriteBatch::default();
        self.pending.clear();
        Ok(self.version.clone())
    }

    pub fn live(&self, key: &[u8]) -> Result<Option<KeyValue>, ReadError> {
        self.reader().live(key)
    }

    fn next_revision(&self) -> Revision {
        Revision::new(self.version.revision + 1, self.changes.len() as u32)
    }

    fn record(&mut self, key: &[u8], revision: Revision, meta: Meta, value: &[u8]) {
        let at = Bytes::from(codec::kv_key(key, revision));
        let record = Record::encode(meta, value);
        self.pending.insert(at.clone(), record.clone());
        self.batch.put(Column::Kv, at, record);
        self.batch.put(Column::Log, codec::log_key(revision), Record::encode(meta, key));
    }

    fn change(&mut self, revision: Revision, kind: Kind, kv: KeyValue, replaced: Option<Live>) {
        let previous = replaced.map(|live| live.modified);
        let previous_lease = replaced.map_or(0, |live| live.lease);
        self.changes.push(Changed { revision, kind, kv, previous, previous_lease });
    }
}
