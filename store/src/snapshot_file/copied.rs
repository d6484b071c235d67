//! Buckets whose records our state keeps as etcd does, below a prefix in the column family `meta`: alarms, users and roles
//! are copied as they are, both ways.

use std::io::{Seek, Write};

use super::{BoltWriter, FileError, records};
use crate::auth::record;
use crate::backend::{Column, View};
use crate::mvcc::{alarms, prefix_end};

/// Bucket, and the prefix of its keys here. In the order of the buckets in a file, but for [`AUTH_RECORDS`].
const BUCKETS: [(&str, &[u8]); 3] = [
    (records::ALARM, alarms::PREFIX),
    (records::AUTH_ROLES, record::ROLE_PREFIX),
    (records::AUTH_USERS, record::USER_PREFIX),
];

/// Key in the bucket `auth`, and the key here.
const AUTH_RECORDS: [(&str, &[u8]); 2] =
    [("authEnabled", record::ENABLED), ("authRevision", record::REVISION)];

/// The buckets that come first in a file.
pub fn export<W: Write + Seek>(view: &dyn View, file: &mut BoltWriter<W>) -> Result<(), FileError> {
    for (bucket, prefix) in BUCKETS {
        if bucket == records::AUTH_ROLES {
            export_auth(view, file)?;
        }
        file.bucket(bucket.as_bytes()).map_err(FileError::Write)?;
        let mut cursor = view.cursor(Column::Meta, prefix, &prefix_end(prefix));
        cursor.seek(prefix)?;
        while let Some((key, value)) = cursor.item() {
            file.put(&key[prefix.len()..], value).map_err(FileError::Write)?;
            cursor.next()?;
        }
    }
    Ok(())
}

fn export_auth<W: Write + Seek>(view: &dyn View, file: &mut BoltWriter<W>) -> Result<(), FileError> {
    file.bucket(records::AUTH.as_bytes()).map_err(FileError::Write)?;
    for (key, own) in AUTH_RECORDS {
        if let Some(value) = view.get(Column::Meta, own)? {
            file.put(key.as_bytes(), &value).map_err(FileError::Write)?;
        }
    }
    Ok(())
}

/// Whether records of the bucket are copied at all.
pub fn has(bucket: &[u8]) -> bool {
    bucket == records::AUTH.as_bytes() || BUCKETS.iter().any(|(name, _)| name.as_bytes() == bucket)
}

/// The key here of a record of such a bucket; `None` of what is left behind.
pub fn own_key(bucket: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    if bucket == records::AUTH.as_bytes() {
        let known = AUTH_RECORDS.iter().find(|(name, _)| name.as_bytes() == key);
        return known.map(|(_, own)| own.to_vec());
    }
    let known = BUCKETS.iter().find(|(name, _)| name.as_bytes() == bucket);
    known.map(|(_, prefix)| [prefix, key].concat())
}
