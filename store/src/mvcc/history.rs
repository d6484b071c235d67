//! The retained history, change after change, in the order of its revisions: for snapshot files and hashes.

use bytes::Bytes;

use super::codec::{self, Kind, Meta};
use super::read::{corrupt, decode, log_record};
use crate::backend::{BackendError, Column, View};
use crate::revision::Revision;

/// One retained change of one key, as `log` has it.
#[derive(Debug)]
pub struct Change<'a> {
    pub at: Revision,
    pub meta: Meta,
    pub key: &'a [u8],
}

impl Change<'_> {
    /// The value that it put; empty of a delete.
    pub fn value(&self, view: &dyn View) -> Result<Bytes, BackendError> {
        match self.meta.kind {
            Kind::Put => {
                let at = codec::kv_key(self.key, self.at);
                let bytes = view.get(Column::Kv, &at)?.ok_or_else(|| corrupt(Column::Kv, &at))?;
                Ok(decode(Column::Kv, &at, bytes)?.payload)
            }
            Kind::Delete => Ok(Bytes::new()),
        }
    }
}

/// Calls `take` with every retained change up to and with the revision `last`, in order.
pub fn each<E: From<BackendError>>(
    view: &dyn View,
    last: i64,
    take: &mut dyn FnMut(&Change<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let upper = if last == i64::MAX { Vec::new() } else { codec::log_key(Revision::new(last + 1, 0)) };
    let mut cursor = view.cursor(Column::Log, &[], &upper);
    cursor.seek(&[])?;
    while let Some((at, bytes)) = cursor.item() {
        let revision = codec::parse_log_key(at).ok_or_else(|| corrupt(Column::Log, at))?;
        let (meta, key) = log_record(at, bytes)?;
        take(&Change { at: revision, meta, key })?;
        cursor.next()?;
    }
    Ok(())
}

/// Where the newest version of `key` at or before the revision `last` stands, if it is a put.
pub fn newest_put(view: &dyn View, key: &[u8], last: i64) -> Result<Option<Revision>, BackendError> {
    let from = codec::kv_key(key, Revision::last_of(last));
    let mut past = codec::kv_prefix(key);
    past.extend_from_slice(&[0xff; 13]);
    let mut cursor = view.cursor(Column::Kv, &from, &past);
    cursor.seek(&from)?;
    let Some((at, bytes)) = cursor.item() else { return Ok(None) };
    let (_, revision) = codec::split_kv_revision(at).ok_or_else(|| corrupt(Column::Kv, at))?;
    let meta = codec::Record::decode_meta(bytes).ok_or_else(|| corrupt(Column::Kv, at))?;
    Ok((meta.kind == Kind::Put).then_some(revision))
}
