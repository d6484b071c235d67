//! Writes a view of the state as a bbolt file with etcd's buckets.
//!
//! `log` holds the history in the order of the bucket `key`; the value of each put is fetched from `kv`. Memory does not
//! grow with the state. Source of names and contents: etcd v3.6 `server/storage/schema`.

use std::io::{Seek, Write};

use bytes::Bytes;

use super::records::{self, ConfState};
use super::{BoltWriter, FileError, copied};
use crate::apply::applier;
use crate::backend::{Column, View};
use crate::consensus::stored;
use crate::lease::Terms;
use crate::membership::MemberTable;
use crate::membership::join::PageMember;
use crate::mvcc::read::corrupt;
use crate::mvcc::{codec, history, load};
use crate::revision::Revision;
use crate::status::CLUSTER_VERSION;

/// Changes between two looks at whether somebody still waits for the file.
const CHANGES_PER_LOOK: usize = 1024;

/// Writes the file to the beginning of `out`; how many bytes it has. Gives up once `wanted` says no.
pub fn export<W: Write + Seek>(view: &dyn View, out: W, wanted: impl Fn() -> bool) -> Result<u64, FileError> {
    let mut file = BoltWriter::begin(out).map_err(FileError::Write)?;
    let table = load::load_members(view)?;
    // Buckets come in the order of their names.
    copied::export(view, &mut file)?;
    start(&mut file, records::CLUSTER)?;
    put(&mut file, records::CLUSTER_VERSION_KEY.as_bytes(), CLUSTER_VERSION.as_bytes())?;
    start(&mut file, records::KEY)?;
    changes(view, &mut file, wanted)?;
    start(&mut file, records::LEASE)?;
    leases(view, &mut file)?;
    members(&mut file, &table)?;
    start(&mut file, records::META)?;
    meta(view, &mut file, &table)?;
    file.finish().map_err(FileError::Write)
}

/// The term of the last applied entry.
fn term(view: &dyn View) -> Result<u64, FileError> {
    let Some(bytes) = view.get(Column::Meta, applier::APPLIED_LOG_ID)? else { return Ok(0) };
    let place = stored::place(&bytes).map_err(|_| corrupt(Column::Meta, applier::APPLIED_LOG_ID))?;
    Ok(place.term)
}

fn start<W: Write + Seek>(file: &mut BoltWriter<W>, bucket: &str) -> Result<(), FileError> {
    file.bucket(bucket.as_bytes()).map_err(FileError::Write)
}

fn put<W: Write + Seek>(file: &mut BoltWriter<W>, key: &[u8], value: &[u8]) -> Result<(), FileError> {
    file.put(key, value).map_err(FileError::Write)
}

fn changes<W: Write + Seek>(
    view: &dyn View,
    file: &mut BoltWriter<W>,
    wanted: impl Fn() -> bool,
) -> Result<(), FileError> {
    let mut written = 0;
    history::each(view, i64::MAX, &mut |change| {
        if written % CHANGES_PER_LOOK == 0 && !wanted() {
            return Err(FileError::Unwanted);
        }
        written += 1;
        let (at, meta, key) = (change.at, change.meta, Bytes::copy_from_slice(change.key));
        let value = records::change_value(at, meta, key, change.value(view)?);
        put(file, &records::change_key(at, meta.kind), &value)
    })
}

/// Ids sort as unsigned numbers there and as signed ones here: negative ones come last.
fn leases<W: Write + Seek>(view: &dyn View, file: &mut BoltWriter<W>) -> Result<(), FileError> {
    let zero = codec::lease_key(0);
    for (lower, upper) in [(&zero[..], &[][..]), (&[][..], &zero[..])] {
        let mut cursor = view.cursor(Column::Lease, lower, upper);
        cursor.seek(lower)?;
        while let Some((at, bytes)) = cursor.item() {
            let id = codec::parse_lease_key(at).ok_or_else(|| corrupt(Column::Lease, at))?;
            let terms = Terms::decode(bytes).ok_or_else(|| corrupt(Column::Lease, at))?;
            put(file, &records::lease_key(id), &records::lease_value(id, terms))?;
            cursor.next()?;
        }
    }
    Ok(())
}

fn members<W: Write + Seek>(file: &mut BoltWriter<W>, table: &MemberTable) -> Result<(), FileError> {
    start(file, records::MEMBERS)?;
    let mut rows: Vec<(String, PageMember)> = table
        .iter()
        .map(|member| (records::member_key(member.member_id), PageMember::from(member.clone())))
        .collect();
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (key, member) in &rows {
        put(file, key.as_bytes(), &json(member))?;
    }
    start(file, records::MEMBERS_REMOVED)?;
    let mut removed: Vec<String> = table.removed().map(records::member_key).collect();
    removed.sort();
    removed.iter().try_for_each(|key| put(file, key.as_bytes(), records::REMOVED_VALUE))
}

fn meta<W: Write + Seek>(
    view: &dyn View,
    file: &mut BoltWriter<W>,
    table: &MemberTable,
) -> Result<(), FileError> {
    let ids = |learners: bool| {
        let of = table.iter().filter(move |member| member.is_learner == learners);
        of.map(|member| member.member_id).collect::<Vec<_>>()
    };
    let conf_state = ConfState { voters: ids(false), learners: ids(true), auto_leave: false };
    put(file, records::CONF_STATE_KEY.as_bytes(), &json(&conf_state))?;
    let applied_index = load::number(view, applier::APPLIED_INDEX)?.unwrap_or(0);
    put(file, records::CONSISTENT_INDEX_KEY.as_bytes(), &applied_index.to_be_bytes())?;
    for (name, key) in [
        (records::FINISHED_COMPACT_KEY, load::COMPACT_FINISHED),
        (records::SCHEDULED_COMPACT_KEY, load::COMPACT_SCHEDULED),
    ] {
        if let Some(main) = load::number(view, key)? {
            put(file, name.as_bytes(), &records::revision(Revision::new(main, 0)))?;
        }
    }
    put(file, records::STORAGE_VERSION_KEY.as_bytes(), CLUSTER_VERSION.as_bytes())?;
    put(file, records::TERM_KEY.as_bytes(), &term(view)?.to_be_bytes())
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs with text keys serialize")
}
