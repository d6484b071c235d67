//! A set of writes that take effect together.

use bytes::Bytes;

use super::Column;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Put { column: Column, key: Bytes, value: Bytes },
    Delete { column: Column, key: Bytes },
}

/// Writes in order; a later one to the same key wins.
#[derive(Debug, Clone, Default)]
pub struct WriteBatch {
    changes: Vec<Change>,
    size_bytes: usize,
}

/// What a change takes beside key and value: kind, column, and two lengths.
const CHANGE_HEAD_BYTES: usize = 1 + 5 + 5 + 5;

impl WriteBatch {
    pub fn put(&mut self, column: Column, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.size_bytes += CHANGE_HEAD_BYTES + key.len() + value.len();
        self.changes.push(Change::Put { column, key, value });
    }

    pub fn delete(&mut self, column: Column, key: impl Into<Bytes>) {
        let key = key.into();
        self.size_bytes += CHANGE_HEAD_BYTES + key.len();
        self.changes.push(Change::Delete { column, key });
    }

    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// About what the batch takes in one piece, and no less.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
