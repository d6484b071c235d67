//! The disk of one simulated member's raft log: it forgets what was not synced.
//!
//! What is done to it is a list of operations in order. A sync takes its time; when that is over, what it covers is
//! *stable*. A power cut keeps the stable image, and of the rest: all that the syncs before some point cover, any sectors of
//! what was written after them and before the next sync began, and nothing of what came later, as the log would not have
//! gone on. A killed process loses only what it had not written yet.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use balsa_store::consensus::wal::{Disk, LogFile};
use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::trace::{Place, Trace};

/// What a power cut writes whole or not at all.
const SECTOR_BYTES: usize = 512;
/// Small, so that a run goes through several segments.
const SEGMENT_BYTES: u64 = 48 * 1024;
const SYNC_MS: std::ops::RangeInclusive<u64> = 0..=3;
const SLOW_SYNC_MS: std::ops::RangeInclusive<u64> = 30..=400;
/// Between two looks at whether a disk still hangs.
const HANGING_LOOK: Duration = Duration::from_millis(10);

/// Cheap to clone; outlives the member that uses it.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Inner>>);

#[derive(Default, Clone)]
struct Image {
    names: BTreeMap<PathBuf, u64>,
    files: BTreeMap<u64, Vec<u8>>,
}

struct Inner {
    place: Place,
    trace: Trace,
    random: SmallRng,
    live: Image,
    stable: Image,
    /// Done since the stable image.
    since: Vec<Op>,
    next_file: u64,
    trouble: Trouble,
}

/// What is wrong with the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    pub slow: bool,
    /// No sync returns before the trouble is over.
    pub hanging: bool,
    pub full: bool,
    /// The next sync fails.
    pub failing: bool,
    /// Sabotage: a sync says that it is done and does nothing.
    pub lying: bool,
}

#[derive(Clone)]
enum Op {
    Write {
        file: u64,
        at: usize,
        bytes: Vec<u8>,
    },
    Create {
        path: PathBuf,
        file: u64,
        bytes: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    /// `None`: the names.
    Sync {
        file: Option<u64>,
        done: bool,
    },
}

impl SimDisk {
    pub fn new(place: Place, trace: Trace, seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(Inner {
            place,
            trace,
            random: SmallRng::seed_from_u64(seed),
            live: Image::default(),
            stable: Image::default(),
            since: Vec::new(),
            next_file: 0,
            trouble: Trouble::default(),
        })))
    }

    pub fn trouble(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.0.lock().trouble);
    }

    /// The process is gone; what it had written is in the machine's memory.
    pub fn killed(&self) {
        let mut inner = self.0.lock();
        let reached = inner.reached(usize::MAX);
        inner.since.truncate(reached);
        inner.since.retain(|op| !matches!(op, Op::Sync { done: false, .. }));
        let mut live = inner.stable.clone();
        inner.since.iter().for_each(|op| live.apply(op));
        inner.live = live;
    }

    /// The machine is without power.
    pub fn power_cut(&self) {
        let mut inner = self.0.lock();
        let unfinished = inner.since.iter().filter(|op| matches!(op, Op::Sync { done: false, .. })).count();
        let finished = inner.random.random_range(0..=unfinished);
        let reached = inner.reached(finished);
        let lost = inner.since.len() - reached;
        inner.since.truncate(reached);
        for op in &mut inner.since {
            if let Op::Sync { done, .. } = op {
                *done = true;
            }
        }
        inner.settle();
        let torn = std::mem::take(&mut inner.since);
        let mut names_go_on = true;
        for op in &torn {
            match op {
                Op::Write { file, at, bytes } => inner.tear(*file, *at, bytes),
                // A file system keeps the order of names.
                Op::Create { .. } | Op::Rename { .. } | Op::Remove { .. } => {
                    names_go_on &= inner.random.random_bool(0.5);
                    if names_go_on {
                        inner.stable.apply(op);
                    }
                }
                Op::Sync { .. } => {}
            }
        }
        inner.live = inner.stable.clone();
        let (place, torn) = (inner.place, torn.len());
        inner.trace.event(place, || format!("disk: power cut, {torn} operations torn, {lost} never made"));
    }
}

impl Inner {
    /// Up to which operation the log can have come when `finished` of its unfinished syncs were done.
    fn reached(&self, finished: usize) -> usize {
        let unfinished = |(at, op): (usize, &Op)| matches!(op, Op::Sync { done: false, .. }).then_some(at);
        let mut pending = self.since.iter().enumerate().filter_map(unfinished);
        if finished == usize::MAX { pending.next() } else { pending.nth(finished) }
            .unwrap_or(self.since.len())
    }

    /// Moves what finished syncs cover into the stable image.
    fn settle(&mut self) {
        let ops = std::mem::take(&mut self.since);
        let last_sync = |of: &dyn Fn(Option<u64>) -> bool| {
            ops.iter().rposition(|op| matches!(op, Op::Sync { file, done: true } if of(*file)))
        };
        let names_until = last_sync(&|file| file.is_none());
        let mut files_until: BTreeMap<u64, usize> = BTreeMap::new();
        for (at, op) in ops.iter().enumerate() {
            if let Op::Sync { file: Some(file), done: true } = op {
                files_until.insert(*file, at);
            }
        }
        for (at, op) in ops.into_iter().enumerate() {
            let covered = match &op {
                Op::Write { file, .. } => files_until.get(file).is_some_and(|until| at < *until),
                Op::Create { .. } | Op::Rename { .. } | Op::Remove { .. } => {
                    names_until.is_some_and(|until| at < until)
                }
                Op::Sync { done, .. } => *done,
            };
            if covered {
                self.stable.apply(&op);
            } else {
                self.since.push(op);
            }
        }
    }

    /// Each sector of a write is there or not.
    fn tear(&mut self, file: u64, at: usize, bytes: &[u8]) {
        let mut from = 0;
        while from < bytes.len() {
            let to = (SECTOR_BYTES - (at + from) % SECTOR_BYTES + from).min(bytes.len());
            if self.random.random_bool(0.5) {
                self.stable.apply(&Op::Write { file, at: at + from, bytes: bytes[from..to].to_vec() });
            }
            from = to;
        }
    }

    fn perform(&mut self, op: Op) {
        self.live.apply(&op);
        self.since.push(op);
    }

    fn note(&self, text: &str) {
        self.trace.event(self.place, || text.to_owned());
    }
}

impl Image {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { file, at, bytes } => {
                let content = self.files.entry(*file).or_default();
                if content.len() < at + bytes.len() {
                    content.resize(at + bytes.len(), 0);
                }
                content[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Op::Create { path, file, bytes } => {
                self.files.entry(*file).or_default().resize(*bytes, 0);
                self.names.insert(path.clone(), *file);
            }
            Op::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Op::Remove { path } => {
                self.names.remove(path);
            }
            Op::Sync { .. } => {}
        }
    }
}

impl Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimDisk")
    }
}

impl Disk for SimDisk {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Debug + Send + Sync>> {
        // One process at a time uses it: the world sees to that.
        Ok(Box::new(()))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let inner = self.0.lock();
        Ok(inner.live.names.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let inner = self.0.lock();
        let file = *inner.live.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn LogFile>> {
        let mut inner = self.0.lock();
        if inner.trouble.full {
            inner.note("disk: full");
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.next_file += 1;
        let file = inner.next_file;
        let bytes = usize::try_from(bytes).expect("segments fit into memory");
        inner.stable.files.insert(file, vec![0; bytes]);
        inner.perform(Op::Create { path: path.to_owned(), file, bytes });
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.lock().perform(Op::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.lock().perform(Op::Remove { path: path.to_owned() });
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.sync(None)
    }

    fn segment_bytes(&self) -> u64 {
        SEGMENT_BYTES
    }

    fn wants_spares(&self) -> bool {
        false
    }

    fn syncing(&self) -> Option<futures::future::BoxFuture<'static, io::Result<()>>> {
        let disk = self.clone();
        let takes_ms = {
            let mut inner = self.0.lock();
            let range = if inner.trouble.slow { SLOW_SYNC_MS } else { SYNC_MS };
            inner.random.random_range(range)
        };
        Some(Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(takes_ms)).await;
            while disk.hangs() {
                tokio::time::sleep(HANGING_LOOK).await;
            }
            let mut inner = disk.0.lock();
            if std::mem::take(&mut inner.trouble.failing) {
                inner.note("disk: a sync fails");
                return Err(io::Error::other("the simulated disk failed"));
            }
            for op in &mut inner.since {
                if let Op::Sync { done, .. } = op {
                    *done = true;
                }
            }
            inner.settle();
            Ok(())
        }))
    }
}

impl SimDisk {
    fn hangs(&self) -> bool {
        self.0.lock().trouble.hanging
    }

    fn sync(&self, file: Option<u64>) -> io::Result<()> {
        let mut inner = self.0.lock();
        if !inner.trouble.lying {
            inner.since.push(Op::Sync { file, done: false });
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: u64,
}

impl LogFile for SimFile {
    fn read_all(&self) -> io::Result<Bytes> {
        let inner = self.disk.0.lock();
        let content = inner.live.files.get(&self.file).ok_or(io::ErrorKind::NotFound)?;
        Ok(Bytes::copy_from_slice(content))
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let inner = self.disk.0.lock();
        let content = inner.live.files.get(&self.file).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let found = content.get(from..from + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.disk.0.lock().perform(Op::Write { file: self.file, at, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync(Some(self.file))
    }
}
