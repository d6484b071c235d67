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
}

impl WriteBatch {
    pub fn put(&mut self, column: Column, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push(Change::Put { column, key: key.into(), value: value.into() });
    }

    pub fn delete(&mut self, column: Column, key: impl Into<Bytes>) {
        self.changes.push(Change::Delete { column, key: key.into() });
    }

    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
