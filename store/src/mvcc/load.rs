//! Start-up: the last revision, the index and the compaction state from the column families, without reading a value.
//!
//! The index is rebuilt from `log`, which holds key and metadata of every retained change in order: the last change of a
//! key tells whether and how it lives.

use std::collections::BTreeSet;
use std::sync::Arc;

use balsa_proto::store::MemberRecord;
use prost::Message;

use super::codec::{self, Kind};
use super::limits::LOAD_CHANGES;
use super::read::{corrupt, log_record};
use super::{Alarms, Index, Live, Version};
use crate::auth::record;
use crate::backend::{Backend, BackendError, Column, View};
use crate::membership::MemberTable;
use crate::revision::Revision;

/// Records of the column family `meta`.
/// How the state is laid out: [`FORMAT`], or absent of a state that has nothing yet.
pub const FORMAT_VERSION: &[u8] = b"format_version";
pub const REVISION: &[u8] = b"revision";
pub const COMPACT_SCHEDULED: &[u8] = b"compact_scheduled";
pub const COMPACT_FINISHED: &[u8] = b"compact_finished";
pub const MEMBER_PREFIX: &[u8] = b"member/";
pub const REMOVED_MEMBER_PREFIX: &[u8] = b"member_removed/";

/// The layout that this program writes and reads. A change that an older program would misread takes the next number.
pub const FORMAT: i64 = 1;

/// Nothing was ever compacted.
pub const NEVER_COMPACTED: i64 = -1;

pub struct Loaded {
    pub version: Version,
    /// The compaction whose removal is complete; less than the version's `compact_revision` if one was cut short.
    pub compact_finished: i64,
    /// The time of the last revision, if it is known.
    pub made_unix_ms: Option<i64>,
}

pub fn load(backend: &Arc<dyn Backend>) -> Result<Loaded, BackendError> {
    backend.read(|view| {
        check_format(number(view, FORMAT_VERSION)?)?;
        let version = Version {
            backend: backend.clone(),
            index: load_index(view)?,
            revision: number(view, REVISION)?.unwrap_or(Revision::FRESH_STORE),
            compact_revision: number(view, COMPACT_SCHEDULED)?.unwrap_or(NEVER_COMPACTED),
            members: Arc::new(load_members(view)?),
            alarms: Arc::new(Alarms::load(view)?),
            auth: Arc::new(record::load(view)?),
        };
        let compact_finished = number(view, COMPACT_FINISHED)?.unwrap_or(NEVER_COMPACTED);
        Ok(Loaded { version, compact_finished, made_unix_ms: super::times::last(view)? })
    })
}

fn check_format(found: Option<i64>) -> Result<(), BackendError> {
    match found {
        Some(found) if found > FORMAT => Err(BackendError::Newer { found, known: FORMAT }),
        _ => Ok(()),
    }
}

pub(crate) fn number(view: &dyn View, key: &[u8]) -> Result<Option<i64>, BackendError> {
    let Some(bytes) = view.get(Column::Meta, key)? else { return Ok(None) };
    codec::parse_i64(&bytes).map(Some).ok_or_else(|| corrupt(Column::Meta, key))
}

/// A batch of changes is sorted by key before it goes into the index: that is several times faster than one after the other.
fn load_index(view: &dyn View) -> Result<Index, BackendError> {
    let mut index = Index::default();
    let mut changes: Vec<(Arc<[u8]>, Option<Live>)> = Vec::new();
    let mut cursor = view.cursor(Column::Log, &[], &[]);
    cursor.seek(&[])?;
    while let Some((at, bytes)) = cursor.item() {
        let modified = codec::parse_log_key(at).ok_or_else(|| corrupt(Column::Log, at))?;
        let (meta, key) = log_record(at, bytes)?;
        let (create_revision, version, lease) = (meta.create_revision, meta.version, meta.lease);
        let live = match meta.kind {
            Kind::Put => Some(Live { modified, create_revision, version, lease }),
            Kind::Delete => None,
        };
        changes.push((Arc::from(key), live));
        if changes.len() == LOAD_CHANGES {
            index = merge(&index, std::mem::take(&mut changes));
        }
        cursor.next()?;
    }
    Ok(merge(&index, changes))
}

/// Of several changes of a key the last one counts.
fn merge(index: &Index, mut changes: Vec<(Arc<[u8]>, Option<Live>)>) -> Index {
    changes.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut changes = changes.into_iter().peekable();
    let last_of_each = std::iter::from_fn(|| {
        let mut last = changes.next()?;
        while let Some(later) = changes.next_if(|(key, _)| *key == last.0) {
            last = later;
        }
        Some(last)
    });
    index.merged(last_of_each)
}

pub(crate) fn load_members(view: &dyn View) -> Result<MemberTable, BackendError> {
    let (mut members, mut removed) = (Vec::new(), BTreeSet::new());
    each(view, MEMBER_PREFIX, |_, bytes| {
        members.push(MemberRecord::decode(bytes).ok()?);
        Some(())
    })?;
    each(view, REMOVED_MEMBER_PREFIX, |key, _| {
        removed.insert(u64::from_be_bytes(key.try_into().ok()?));
        Some(())
    })?;
    Ok(MemberTable::new(members, removed))
}

/// Hands out what is behind the prefix of each key, and its value. `None` back: the record is corrupt.
fn each(
    view: &dyn View,
    prefix: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Option<()>,
) -> Result<(), BackendError> {
    let mut cursor = view.cursor(Column::Meta, prefix, &super::prefix_end(prefix));
    cursor.seek(prefix)?;
    while let Some((at, bytes)) = cursor.item() {
        take(&at[prefix.len()..], bytes).ok_or_else(|| corrupt(Column::Meta, at))?;
        cursor.next()?;
    }
    Ok(())
}

pub fn member_key(member_id: u64) -> Vec<u8> {
    [MEMBER_PREFIX, &member_id.to_be_bytes()].concat()
}

pub fn removed_member_key(member_id: u64) -> Vec<u8> {
    [REMOVED_MEMBER_PREFIX, &member_id.to_be_bytes()].concat()
}
