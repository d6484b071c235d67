//! Opens the log: locks it, reads every segment, checks the chain, cuts off what a power cut tore.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::disk::{Disk, LogFile};
use super::frame::{self, Found};
use super::record::{self, Effect, Head, Meta, RecordError};
use super::segment::{self, Segment, Spare, Spares};
use super::{Index, Wal};
use crate::metrics::LogMetrics;

const FIRST_SEGMENT: u64 = 1;
const LOCK_FILE: &str = "LOCK";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the raft log in {path} is in use by another process")]
    InUse { path: PathBuf },
    #[error("the raft log in {path} cannot be read or written")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the raft log is damaged: {path} does not check at byte {offset}; remove this member from the cluster, empty its \
         data directory and add it again"
    )]
    Damaged { path: PathBuf, offset: usize },
    #[error("the raft log is damaged: {path} holds at byte {offset} what cannot be read")]
    Record { path: PathBuf, offset: usize, source: RecordError },
    #[error("the raft log lacks the file {path}; bring it back, or replace this member")]
    MissingSegment { path: PathBuf },
    #[error("the raft log has a hole: entry {have} follows {after}")]
    Hole { after: u64, have: u64 },
    #[error("the data directory belongs to member {found:x?} and not to {want:x?} (cluster id, member id)")]
    ForeignIdentity { found: (u64, u64), want: (u64, u64) },
}

/// An open log, and what it said when it was opened.
#[derive(Debug)]
pub struct Opened {
    pub wal: Wal,
    pub meta: Meta,
    pub index: Arc<RwLock<Index>>,
}

/// Opens the log below `dir`, making a fresh one there if there is none, for (cluster id, member id).
pub fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    identity: (u64, u64),
    metrics: LogMetrics,
) -> Result<Opened, OpenError> {
    let failed = |source: io::Error| OpenError::Io { path: dir.to_owned(), source };
    disk.make_dir(dir).map_err(failed)?;
    let lock = lock(&*disk, dir)?;
    let numbers = list_segments(&*disk, dir).map_err(failed)?;
    let mut replay =
        Replay { disk: &*disk, dir, identity, meta: Meta::default(), index: Index::default(), next_frame: 0 };
    let segment = match chain(dir, &numbers)? {
        None => replay.create_first().map_err(failed)?,
        Some((first, last)) => replay.segments(first, last)?,
    };
    replay.check_begin()?;
    let Replay { meta, index, next_frame, .. } = replay;
    let index = Arc::new(RwLock::new(index));
    let spares = Spares::start(disk.clone(), dir).map_err(failed)?;
    let wal = Wal {
        disk,
        dir: dir.to_owned(),
        identity,
        segment,
        next_frame,
        meta: meta.clone(),
        index: index.clone(),
        spares,
        metrics,
        broken: false,
        _lock: lock,
    };
    Ok(Opened { wal, meta, index })
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Debug + Send + Sync>, OpenError> {
    let path = dir.join(LOCK_FILE);
    disk.lock(&path).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse { path: dir.to_owned() },
        _ => OpenError::Io { path: path.clone(), source },
    })
}

/// The numbers of the segments. Files that never became one are removed.
fn list_segments(disk: &dyn Disk, dir: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut segments = BTreeMap::new();
    for path in disk.list(dir)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(segment::SPARE_SUFFIX) {
            disk.remove(&path)?;
        } else if let Some(number) = name.strip_suffix(segment::SUFFIX)
            && let Ok(number) = u64::from_str_radix(number, 16)
        {
            segments.insert(number, path);
        }
    }
    Ok(segments)
}

/// First and last of a chain without a gap.
fn chain(dir: &Path, segments: &BTreeMap<u64, PathBuf>) -> Result<Option<(u64, u64)>, OpenError> {
    let (Some((first, _)), Some((last, _))) = (segments.first_key_value(), segments.last_key_value()) else {
        return Ok(None);
    };
    match (*first..=*last).find(|number| !segments.contains_key(number)) {
        Some(missing) => Err(OpenError::MissingSegment { path: dir.join(segment::file_name(missing)) }),
        None => Ok(Some((*first, *last))),
    }
}

/// The log as far as it is read.
struct Replay<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    identity: (u64, u64),
    meta: Meta,
    index: Index,
    next_frame: u64,
}

/// A segment in memory. `frames` is where the data frames begin.
struct Loaded {
    number: u64,
    path: PathBuf,
    file: Arc<dyn LogFile>,
    bytes: Bytes,
    head: Head,
    next_frame: u64,
    frames: usize,
}

impl Replay<'_> {
    fn create_first(&mut self) -> io::Result<Segment> {
        let head = Head { identity: self.identity, meta: Meta::default() };
        let spare = Spare::hollow(self.disk, self.dir, "first", self.disk.segment_bytes())?;
        let segment =
            Segment::begin(self.disk, self.dir, FIRST_SEGMENT, spare, &head.into_frame(FIRST_SEGMENT, 0))?;
        self.index.add_file(FIRST_SEGMENT, segment.file());
        Ok(segment)
    }

    fn segments(&mut self, first: u64, last: u64) -> Result<Segment, OpenError> {
        let mut current = self.load(first)?;
        self.meta = current.head.meta.clone();
        self.next_frame = current.next_frame;
        for number in first + 1..=last {
            let next = self.load(number)?;
            self.whole(&current, next.next_frame)?;
            self.index.add_file(number - 1, current.file);
            current = next;
        }
        let (at, torn) = self.tail(&current)?;
        let Loaded { number, path, file, bytes, .. } = current;
        let failed = |source: io::Error| OpenError::Io { path: path.clone(), source };
        let segment = Segment::resume(number, file, at as u64, bytes.len() as u64, torn).map_err(failed)?;
        self.index.add_file(number, segment.file());
        Ok(segment)
    }

    fn load(&self, number: u64) -> Result<Loaded, OpenError> {
        let path = self.dir.join(segment::file_name(number));
        let failed = |source: io::Error| OpenError::Io { path: path.clone(), source };
        let file = self.disk.open(&path).map_err(failed)?;
        let bytes = file.read_all().map_err(failed)?;
        let Found::Frame { number: next_frame, body } = frame::look(&bytes, 0, number) else {
            return Err(OpenError::Damaged { path, offset: 0 });
        };
        let frames = body.end;
        let head = Head::parse(&bytes, body).map_err(|source| OpenError::Record {
            path: path.clone(),
            offset: 0,
            source,
        })?;
        if head.identity != self.identity {
            return Err(OpenError::ForeignIdentity { found: head.identity, want: self.identity });
        }
        Ok(Loaded { number, path, file, bytes, head, next_frame, frames })
    }

    /// The next segment knows how many frames came before it: all of them must be here. Only a torn seal may follow.
    fn whole(&mut self, segment: &Loaded, until_frame: u64) -> Result<(), OpenError> {
        let mut at = segment.frames;
        while self.next_frame < until_frame {
            match self.step(segment, at)? {
                Step::Data { end } => at = end,
                Step::Seal | Step::End | Step::Broken => {
                    return Err(OpenError::Damaged { path: segment.path.clone(), offset: at });
                }
            }
        }
        Ok(())
    }

    /// Reads the last segment. Where the next frame goes, and whether something torn was found there.
    fn tail(&mut self, segment: &Loaded) -> Result<(usize, bool), OpenError> {
        let mut at = segment.frames;
        loop {
            match self.step(segment, at)? {
                Step::Data { end } => at = end,
                Step::End => return Ok((at, false)),
                Step::Seal => {
                    let missing = self.dir.join(segment::file_name(segment.number + 1));
                    return Err(OpenError::MissingSegment { path: missing });
                }
                Step::Broken if frame::is_torn(&segment.bytes, at, segment.number) => {
                    tracing::info!(offset = at, "the last write of the raft log was torn and is cut off");
                    return Ok((at, true));
                }
                Step::Broken => return Err(OpenError::Damaged { path: segment.path.clone(), offset: at }),
            }
        }
    }

    fn step(&mut self, segment: &Loaded, at: usize) -> Result<Step, OpenError> {
        let (number, body) = match frame::look(&segment.bytes, at, segment.number) {
            Found::Frame { number, body } => (number, body),
            Found::End => return Ok(Step::End),
            Found::Broken => return Ok(Step::Broken),
        };
        if number != self.next_frame {
            return Err(OpenError::Damaged { path: segment.path.clone(), offset: at });
        }
        let end = body.end;
        let parsed = record::parse(&segment.bytes, body).map_err(|source| OpenError::Record {
            path: segment.path.clone(),
            offset: at,
            source,
        })?;
        let Some(effects) = parsed else { return Ok(Step::Seal) };
        for effect in &effects {
            self.apply(effect, segment.number)?;
        }
        self.next_frame += 1;
        Ok(Step::Data { end })
    }

    fn apply(&mut self, effect: &Effect, segment: u64) -> Result<(), OpenError> {
        // The head may know of a purge of what the segment still holds.
        if let (Effect::Entry { index, .. }, Some(purged)) = (effect, &self.meta.purged)
            && *index <= purged.index
        {
            return Ok(());
        }
        if let (Effect::Entry { index, .. }, Some(last)) = (effect, self.index.last())
            && *index != last + 1
        {
            return Err(OpenError::Hole { after: last, have: *index });
        }
        self.meta.apply(effect);
        let failed = |source: io::Error| OpenError::Io { path: self.dir.to_owned(), source };
        self.index.apply(effect, segment, 0).map_err(failed)
    }

    /// What is not purged is here from its first entry on.
    fn check_begin(&self) -> Result<(), OpenError> {
        let Some(have) = self.index.first() else { return Ok(()) };
        match &self.meta.purged {
            Some(purged) if have != purged.index + 1 => Err(OpenError::Hole { after: purged.index, have }),
            None if have != 0 => Err(OpenError::Hole { after: 0, have }),
            Some(_) | None => Ok(()),
        }
    }
}

enum Step {
    Data { end: usize },
    Seal,
    End,
    Broken,
}
