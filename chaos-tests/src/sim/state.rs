//! The state of one simulated member: memory, with a power cut that takes back what was not synced.
//!
//! As RocksDB does, it loses a suffix of whole batches and never a part of one. What it writes of revisions is a
//! [`Sighting`].

use std::path::Path;
use std::sync::Arc;

use balsa_store::backend::{
    Backend, BackendError, BackendSize, Change, Column, MemoryBackend, View, WriteBatch,
};
use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::sightings::{Sighting, Sightings};
use super::trace::Place;

/// Every so many batches, on average, a memory table reaches the disk by itself.
const FLUSH_EVERY_BATCHES: f64 = 200.0;

/// What survives of a state. Cheap to clone; outlives the member that uses it.
#[derive(Clone)]
pub struct StateDisk(Arc<Mutex<Inner>>);

struct Inner {
    place: Place,
    synced: MemoryBackend,
    /// Counts installed snapshots: what still writes to an older state writes to nothing.
    generation: u64,
    since: Vec<WriteBatch>,
    random: SmallRng,
    sightings: Sightings,
    /// Sabotage: the applied position travels in a batch of its own.
    splits_batches: bool,
}

impl StateDisk {
    pub fn new(place: Place, seed: u64, sightings: Sightings, splits_batches: bool) -> StateDisk {
        StateDisk(Arc::new(Mutex::new(Inner {
            place,
            synced: MemoryBackend::new(),
            generation: 0,
            since: Vec::new(),
            random: SmallRng::seed_from_u64(seed),
            sightings,
            splits_batches,
        })))
    }

    pub fn power_cut(&self) {
        let mut inner = self.0.lock();
        let batches = inner.since.len();
        let kept = inner.random.random_range(0..=batches);
        inner.since.truncate(kept);
    }

    pub fn open(&self) -> Arc<dyn Backend> {
        let inner = self.0.lock();
        let memory = inner.synced.fork();
        for batch in &inner.since {
            memory.write(batch).expect("memory takes every batch");
        }
        Arc::new(SimBackend { disk: self.clone(), generation: inner.generation, memory })
    }
}

impl Inner {
    fn show(&self, batch: &WriteBatch) {
        for change in batch.changes() {
            if let Change::Put { column: Column::Log, key, value } = change {
                let (key, value) = (key.clone(), value.clone());
                self.sightings.see(Sighting::Recorded { place: self.place, key, value });
            }
        }
    }
}

#[derive(Debug)]
struct SimBackend {
    disk: StateDisk,
    generation: u64,
    memory: MemoryBackend,
}

impl std::fmt::Debug for StateDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateDisk")
    }
}

impl Backend for SimBackend {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        self.memory.get(column, key)
    }

    fn write(&self, batch: &WriteBatch) -> Result<(), BackendError> {
        self.memory.write(batch)?;
        let mut inner = self.disk.0.lock();
        if inner.generation != self.generation {
            return Ok(());
        }
        inner.show(batch);
        if inner.splits_batches {
            let (position, rest) = split(batch);
            inner.since.extend([rest, position]);
        } else {
            inner.since.push(batch.clone());
        }
        if inner.random.random_bool(1.0 / FLUSH_EVERY_BATCHES) {
            inner.synced = self.memory.fork();
            inner.since.clear();
        }
        Ok(())
    }

    fn view(&self, read: &mut dyn FnMut(&dyn View)) -> Result<(), BackendError> {
        self.memory.view(read)
    }

    fn sync(&self) -> Result<(), BackendError> {
        let mut inner = self.disk.0.lock();
        if inner.generation == self.generation {
            inner.synced = self.memory.fork();
            inner.since.clear();
        }
        Ok(())
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), BackendError> {
        self.memory.checkpoint(dir)
    }

    fn install(&self, dir: &Path) -> Result<Arc<dyn Backend>, BackendError> {
        let memory = self.memory.installed(dir)?;
        let mut inner = self.disk.0.lock();
        inner.synced = memory.fork();
        inner.since.clear();
        inner.generation += 1;
        Ok(Arc::new(SimBackend { disk: self.disk.clone(), generation: inner.generation, memory }))
    }

    fn defragment(&self) -> Result<(), BackendError> {
        self.memory.defragment()
    }

    fn size(&self) -> BackendSize {
        self.memory.size()
    }
}

/// The applied position, and everything else.
fn split(batch: &WriteBatch) -> (WriteBatch, WriteBatch) {
    let (mut position, mut rest) = (WriteBatch::default(), WriteBatch::default());
    for change in batch.changes() {
        match change {
            Change::Put { column, key, value } => {
                let is_position = *column == Column::Meta && key.starts_with(b"applied_");
                let part = if is_position { &mut position } else { &mut rest };
                part.put(*column, key.clone(), value.clone());
            }
            Change::Delete { column, key } => rest.delete(*column, key.clone()),
        }
    }
    (position, rest)
}
