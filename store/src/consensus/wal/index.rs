//! Where each entry of the log stands on disk.
//!
//! Invariant: the indexes are consecutive, and every place lies in a segment whose file is open here.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::LogFile;
use super::record::Effect;

/// The bytes of one entry record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub segment: u64,
    pub offset: u32,
    pub len: u32,
}

#[derive(Debug, Default)]
pub struct Index {
    first: u64,
    places: VecDeque<Place>,
    /// Bytes of all entries that were ever added here; never less than before.
    appended_bytes: u64,
    files: BTreeMap<u64, Arc<dyn LogFile>>,
}

/// A place and the file that it is in, to be read without any lock.
#[derive(Debug, Clone)]
pub struct Located {
    pub index: u64,
    place: Place,
    file: Arc<dyn LogFile>,
}

impl Located {
    pub fn len(&self) -> usize {
        self.place.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.place.len == 0
    }

    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.len()];
        self.file.read_exact_at(&mut bytes, u64::from(self.place.offset))?;
        Ok(bytes.into())
    }
}

impl Index {
    pub fn add_file(&mut self, segment: u64, file: Arc<dyn LogFile>) {
        self.files.insert(segment, file);
    }

    pub fn first(&self) -> Option<u64> {
        (!self.places.is_empty()).then_some(self.first)
    }

    pub fn last(&self) -> Option<u64> {
        self.first().map(|first| first + self.places.len() as u64 - 1)
    }

    /// `at` is where the frame of the effect begins in the segment; 0 if the effect counts from there itself.
    pub fn apply(&mut self, effect: &Effect, segment: u64, at: u64) -> io::Result<()> {
        match effect {
            Effect::Entry { index, at: bytes } => {
                let offset = u32::try_from(at + bytes.start as u64).map_err(io::Error::other)?;
                let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
                self.push(*index, Place { segment, offset, len })
            }
            Effect::TruncateFrom(index) => {
                self.truncate_from(*index);
                Ok(())
            }
            Effect::Purge(upto) => {
                self.purge(upto.index);
                Ok(())
            }
            Effect::Vote(_) | Effect::Committed(_) => Ok(()),
        }
    }

    fn push(&mut self, index: u64, place: Place) -> io::Result<()> {
        match self.last() {
            None => self.first = index,
            Some(last) if index == last + 1 => {}
            Some(last) => {
                return Err(io::Error::other(format!("entry {index} of the raft log follows entry {last}")));
            }
        }
        self.places.push_back(place);
        self.appended_bytes += u64::from(place.len);
        Ok(())
    }

    fn truncate_from(&mut self, index: u64) {
        let keep = index.saturating_sub(self.first);
        self.places.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    fn purge(&mut self, upto: u64) {
        while self.first().is_some_and(|first| first <= upto) {
            self.places.pop_front();
            self.first += 1;
        }
    }

    /// Grows with every entry, also by those that were there at the start.
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// The newest entry that the newest `keep_bytes` do not hold any more; `None` if they hold all.
    pub fn newest_beyond(&self, keep_bytes: u64) -> Option<u64> {
        let mut bytes = 0;
        let mut newest_first = self.places.iter().enumerate().rev();
        let (at, _) = newest_first.find(|(_, place)| {
            bytes += u64::from(place.len);
            bytes > keep_bytes
        })?;
        Some(self.first + at as u64)
    }

    /// Segments before `current` that hold nothing any more, oldest first, and forgets them.
    pub fn take_unused(&mut self, current: u64) -> Vec<u64> {
        let needed = self.places.iter().map(|place| place.segment).next().unwrap_or(current).min(current);
        let unused: Vec<u64> = self.files.range(..needed).map(|(number, _)| *number).collect();
        for number in &unused {
            self.files.remove(number);
        }
        unused
    }

    /// The entries of `range` that are on disk, the first of them first, until they exceed `max_bytes`; at least one.
    pub fn locate(&self, range: Range<u64>, max_bytes: usize) -> Vec<Located> {
        let Some(last) = self.last() else { return Vec::new() };
        let (from, to) = (range.start.max(self.first), range.end.min(last + 1));
        let mut located = Vec::new();
        let mut bytes = 0usize;
        for index in from..to {
            let place = self.places[(index - self.first) as usize];
            bytes = bytes.saturating_add(place.len as usize);
            if bytes > max_bytes && !located.is_empty() {
                break;
            }
            let file = self.files[&place.segment].clone();
            located.push(Located { index, place, file });
        }
        located
    }
}
