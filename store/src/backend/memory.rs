//! The state in memory, for unit tests and simulation: one persistent ordered map per column, so that a view is a clone
//! of a pointer. A checkpoint is one file of length-prefixed records.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use imbl::OrdMap;
use parking_lot::RwLock;

use super::{Backend, BackendError, BackendSize, Change, Column, Cursor, View, WriteBatch};

type Columns = BTreeMap<Column, OrdMap<Bytes, Bytes>>;

/// The one file of a checkpoint.
const CHECKPOINT_FILE: &str = "memory";

#[derive(Debug, Default)]
pub struct MemoryBackend {
    columns: RwLock<Columns>,
}

impl MemoryBackend {
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy that goes its own way.
    pub fn fork(&self) -> Self {
        MemoryBackend { columns: RwLock::new(self.columns.read().clone()) }
    }

    /// What [`Backend::install`] returns, as what it is.
    pub fn installed(&self, dir: &Path) -> Result<Self, BackendError> {
        let bytes = std::fs::read(dir.join(CHECKPOINT_FILE))
            .map_err(|source| BackendError::Install { path: dir.into(), source: source.into() })?;
        let columns = decode(Bytes::from(bytes)).ok_or_else(|| BackendError::Install {
            path: dir.into(),
            source: "the file is cut short".into(),
        })?;
        Ok(MemoryBackend { columns: RwLock::new(columns) })
    }
}

impl Backend for MemoryBackend {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        Ok(self.columns.read().get(&column).and_then(|records| records.get(key).cloned()))
    }

    fn write(&self, batch: &WriteBatch) -> Result<(), BackendError> {
        let mut columns = self.columns.write();
        for change in batch.changes() {
            match change {
                Change::Put { column, key, value } => {
                    columns.entry(*column).or_default().insert(key.clone(), value.clone());
                }
                Change::Delete { column, key } => {
                    columns.entry(*column).or_default().remove(key);
                }
            }
        }
        Ok(())
    }

    fn view(&self, read: &mut dyn FnMut(&dyn View)) -> Result<(), BackendError> {
        let view = MemoryView { columns: self.columns.read().clone(), empty: OrdMap::new() };
        read(&view);
        Ok(())
    }

    fn sync(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn defragment(&self) -> Result<(), BackendError> {
        // What is deleted is gone already.
        Ok(())
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), BackendError> {
        let bytes = encode(&self.columns.read().clone());
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(dir.join(CHECKPOINT_FILE), bytes))
            .map_err(|source| BackendError::Checkpoint { path: dir.into(), source: source.into() })
    }

    fn install(&self, dir: &Path) -> Result<Arc<dyn Backend>, BackendError> {
        Ok(Arc::new(self.installed(dir)?))
    }

    fn size(&self) -> BackendSize {
        let columns = self.columns.read();
        let total = columns
            .values()
            .flat_map(|records| records.iter())
            .map(|(k, v)| (k.len() + v.len()) as u64)
            .sum();
        BackendSize { total_bytes: total, in_use_bytes: total }
    }
}

fn encode(columns: &Columns) -> BytesMut {
    let mut out = BytesMut::new();
    for (column, records) in columns {
        let number = Column::ALL.iter().position(|c| c == column).expect("every column is listed") as u8;
        for (key, value) in records {
            out.put_u8(number);
            out.put_u32(key.len() as u32);
            out.put_slice(key);
            out.put_u32(value.len() as u32);
            out.put_slice(value);
        }
    }
    out
}

fn decode(mut bytes: Bytes) -> Option<Columns> {
    let mut columns = Columns::new();
    while bytes.has_remaining() {
        let column = *Column::ALL.get(bytes.get_u8() as usize)?;
        let key = take_sized(&mut bytes)?;
        let value = take_sized(&mut bytes)?;
        columns.entry(column).or_default().insert(key, value);
    }
    Some(columns)
}

fn take_sized(bytes: &mut Bytes) -> Option<Bytes> {
    let len = bytes.try_get_u32().ok()? as usize;
    (len <= bytes.len()).then(|| bytes.split_to(len))
}

struct MemoryView {
    columns: Columns,
    empty: OrdMap<Bytes, Bytes>,
}

impl View for MemoryView {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        Ok(self.columns.get(&column).and_then(|records| records.get(key).cloned()))
    }

    fn cursor(&self, column: Column, lower: &[u8], upper: &[u8]) -> Box<dyn Cursor + '_> {
        let records = self.columns.get(&column).unwrap_or(&self.empty);
        Box::new(MemoryCursor { records, lower: lower.to_vec(), upper: upper.to_vec(), at: None })
    }
}

struct MemoryCursor<'a> {
    records: &'a OrdMap<Bytes, Bytes>,
    lower: Vec<u8>,
    upper: Vec<u8>,
    at: Option<(&'a Bytes, &'a Bytes)>,
}

impl MemoryCursor<'_> {
    fn keep_in_bounds(&mut self) {
        self.at = self.at.filter(|(key, _)| {
            key[..] >= self.lower[..] && (self.upper.is_empty() || key[..] < self.upper[..])
        });
    }
}

impl Cursor for MemoryCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), BackendError> {
        let from = key.max(&self.lower);
        self.at = self
            .records
            .range::<_, [u8]>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded))
            .next();
        self.keep_in_bounds();
        Ok(())
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), BackendError> {
        if !self.upper.is_empty() && key >= &self.upper[..] {
            return self.seek_to_last();
        }
        self.at = self
            .records
            .range::<_, [u8]>((std::ops::Bound::Unbounded, std::ops::Bound::Included(key)))
            .next_back();
        self.keep_in_bounds();
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<(), BackendError> {
        self.at = if self.upper.is_empty() {
            self.records.iter().next_back()
        } else {
            let upper = std::ops::Bound::Excluded(&self.upper[..]);
            self.records.range::<_, [u8]>((std::ops::Bound::Unbounded, upper)).next_back()
        };
        self.keep_in_bounds();
        Ok(())
    }

    fn next(&mut self) -> Result<(), BackendError> {
        if let Some((key, _)) = self.at {
            let after = std::ops::Bound::Excluded(&key[..]);
            self.at = self.records.range::<_, [u8]>((after, std::ops::Bound::Unbounded)).next();
            self.keep_in_bounds();
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<(), BackendError> {
        if let Some((key, _)) = self.at {
            let before = std::ops::Bound::Excluded(&key[..]);
            self.at = self.records.range::<_, [u8]>((std::ops::Bound::Unbounded, before)).next_back();
            self.keep_in_bounds();
        }
        Ok(())
    }

    fn item(&self) -> Option<(&[u8], &[u8])> {
        self.at.map(|(key, value)| (&key[..], &value[..]))
    }
}
