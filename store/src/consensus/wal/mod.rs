//! The raft log on disk: a chain of preallocated segments, written frame by frame.
//!
//! ```text
//! wal/LOCK
//! wal/0000000000000001.wal    head | frame | frame | … | seal | zeros
//! wal/0000000000000002.wal    head | frame | frame | zeros            the last one: written here
//! wal/spare-2.tmp             zeros: the next segment, made ahead of need
//! ```
//! A *frame* is what one synced write carries: any number of records, one checksum. The next frame is written only after
//! the one before it is on disk, so that a power cut can tear the last frame and no other. A *head* repeats what the
//! segments before it said of vote, purge and commit, so that they can be removed. A *seal* says that another segment
//! follows, so that a lost file is noticed.
//!
//! Promised: after [`Wal::write`] and [`Wal::settle`] the frame is on disk. What they have returned for is there after every crash.
//! On opening, a torn last frame is cut off: nothing of it was acknowledged. Everything else that does not check is an
//! error that names file and byte; nothing is ever skipped. What tells a tear from damage: a tear leaves a sector of the
//! frame unwritten, and unwritten sectors are zero, since segments are filled with zeros before they are used.
//! (A flipped bit in the very last frame is taken for a tear only if that frame also holds a whole sector of zeros.)
//! Source of the torn-sector rule: etcd v3.6 `server/storage/wal/decoder.go`.

pub mod disk;
pub mod frame;
pub mod index;
pub mod look;
pub mod open;
pub mod record;
pub mod segment;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;

pub use self::disk::{Disk, HostDisk, LogFile};
pub use self::index::{Index, Place};
pub use self::open::{OpenError, Opened, open};
use self::record::{Effect, Head, Meta, Records};
use self::segment::{Segment, Spares};
use crate::failpoint::{self, Point};
use crate::metrics::LogMetrics;

/// The write side. Owned by one thread.
#[derive(Debug)]
pub struct Wal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    identity: (u64, u64),
    segment: Segment,
    /// The number of the next data frame.
    next_frame: u64,
    meta: Meta,
    index: Arc<RwLock<Index>>,
    spares: Spares,
    metrics: LogMetrics,
    /// After a failed write nobody knows what is on disk: nothing more is written.
    broken: bool,
    /// Held as long as the log is open.
    _lock: Box<dyn Debug + Send + Sync>,
}

impl Wal {
    /// Writes one frame and syncs it. After an error every later call fails.
    pub fn write(&mut self, records: Records) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write of the raft log failed"));
        }
        let result = self.write_frame(records);
        self.broken = result.is_err();
        result
    }

    /// Waits for as long as the disk is still at it. A frame counts as written only after this.
    pub async fn settle(&mut self) -> io::Result<()> {
        let Some(syncing) = self.disk.syncing() else { return Ok(()) };
        let result = syncing.await;
        self.broken |= result.is_err();
        result
    }

    fn write_frame(&mut self, records: Records) -> io::Result<()> {
        if !self.segment.has_room(records.frame_bytes()) {
            self.rotate(records.frame_bytes())?;
        }
        let (frame, effects) = records.seal(self.segment.number(), self.next_frame);
        failpoint::pass(Point::LogBeforeSync);
        let started = Instant::now();
        let at = self.segment.append(&frame)?;
        self.metrics.fsync_seconds.observe(started.elapsed().as_secs_f64());
        self.metrics.written_bytes.add(frame.len() as u64);
        failpoint::pass(Point::LogAfterSync);
        self.next_frame += 1;
        let purges = effects.iter().any(|effect| matches!(effect, Effect::Purge(_)));
        {
            let mut index = self.index.write();
            for effect in &effects {
                self.meta.apply(effect);
                index.apply(effect, self.segment.number(), at)?;
            }
        }
        if self.segment.is_half_full() {
            self.spares.order();
        }
        if purges {
            self.remove_purged()?;
        }
        Ok(())
    }

    /// The new segment is whole on disk before the old one says that there is another.
    fn rotate(&mut self, frame_bytes: usize) -> io::Result<()> {
        let number = self.segment.number() + 1;
        let head = Head { identity: self.identity, meta: self.meta.clone() };
        let head = head.into_frame(number, self.next_frame);
        let spare = self.spares.take(segment::HEAD_ROOM_BYTES + frame_bytes + segment::SEAL_ROOM_BYTES)?;
        let fresh = Segment::begin(&*self.disk, &self.dir, number, spare, &head)?;
        self.index.write().add_file(number, fresh.file());
        let mut old = std::mem::replace(&mut self.segment, fresh);
        old.append(&record::seal_frame(old.number(), self.next_frame)).map(drop)
    }

    /// Oldest first, so that what remains is a chain whenever the power goes.
    fn remove_purged(&mut self) -> io::Result<()> {
        let unused = self.index.write().take_unused(self.segment.number());
        for number in &unused {
            self.disk.remove(&self.dir.join(segment::file_name(*number)))?;
        }
        if unused.is_empty() { Ok(()) } else { self.disk.sync_dir(&self.dir) }
    }
}
