//! Segment files: filled with zeros ahead of need, begun with a head, appended to with a sync each.
//!
//! Zeros are *written*, not only promised by the file system: a later sync then moves data alone and no metadata, which
//! on ext4 halves its time when others use the disk (docs/adr/0020-raft-log-in-segments.md).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::disk::{Disk, LogFile};
use super::record;
use crate::limits::LOG_SEGMENT_BYTES;

pub const SUFFIX: &str = ".wal";
pub const SPARE_SUFFIX: &str = ".tmp";
/// No head is longer: an identity, a vote and two log ids.
pub const HEAD_ROOM_BYTES: usize = 512;
pub const SEAL_ROOM_BYTES: usize = 64;
const ZEROS_PER_WRITE: usize = 1 << 20;

pub fn file_name(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

/// An open segment and where the next frame goes.
#[derive(Debug)]
pub struct Segment {
    number: u64,
    file: Arc<dyn LogFile>,
    at: u64,
    bytes: u64,
}

impl Segment {
    /// Turns a spare file into the segment `number`. It has its name only once its head is on disk.
    pub fn begin(disk: &dyn Disk, dir: &Path, number: u64, spare: Spare, head: &[u8]) -> io::Result<Segment> {
        let Spare { path, file, bytes } = spare;
        let mut segment = Segment { number, file, at: 0, bytes };
        segment.append(head)?;
        disk.rename(&path, &dir.join(file_name(number)))?;
        disk.sync_dir(dir)?;
        Ok(segment)
    }

    /// Goes on behind the frames of an existing segment. Whatever a torn frame left behind `at` is wiped.
    pub fn resume(
        number: u64,
        file: Arc<dyn LogFile>,
        at: u64,
        bytes: u64,
        torn: bool,
    ) -> io::Result<Segment> {
        if torn {
            write_zeros(&*file, at, bytes)?;
            file.sync_data()?;
        }
        Ok(Segment { number, file, at, bytes })
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn file(&self) -> Arc<dyn LogFile> {
        self.file.clone()
    }

    /// Room for a frame, with that of a seal behind it.
    pub fn has_room(&self, frame_bytes: usize) -> bool {
        self.at + (frame_bytes + SEAL_ROOM_BYTES) as u64 <= self.bytes
    }

    pub fn is_half_full(&self) -> bool {
        2 * self.at >= self.bytes
    }

    /// Writes behind what is there, and syncs. Returns where the frame begins.
    pub fn append(&mut self, frame: &[u8]) -> io::Result<u64> {
        let at = self.at;
        self.file.write_all_at(frame, at)?;
        self.file.sync_data()?;
        self.at += frame.len() as u64;
        Ok(at)
    }
}

fn write_zeros(file: &dyn LogFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_PER_WRITE];
    let mut at = from;
    while at < to {
        let len = (to - at).min(ZEROS_PER_WRITE as u64);
        file.write_all_at(&zeros[..len as usize], at)?;
        at += len;
    }
    Ok(())
}

/// A file of zeros that has no name in the chain yet.
#[derive(Debug)]
pub struct Spare {
    path: PathBuf,
    file: Arc<dyn LogFile>,
    bytes: u64,
}

impl Spare {
    /// The zeros are a hole: at once there, and dearer to sync. For the first segment of a fresh log and for frames that are
    /// larger than a segment.
    pub fn hollow(disk: &dyn Disk, dir: &Path, name: &str, bytes: u64) -> io::Result<Spare> {
        let path = dir.join(format!("{name}{SPARE_SUFFIX}"));
        let file = disk.create(&path, bytes)?;
        Ok(Spare { path, file, bytes })
    }

    fn filled(disk: &dyn Disk, dir: &Path, name: &str, bytes: u64) -> io::Result<Spare> {
        let spare = Self::hollow(disk, dir, name, bytes)?;
        write_zeros(&*spare.file, 0, bytes)?;
        spare.file.sync_data()?;
        Ok(spare)
    }
}

/// Makes spare files, one ahead of need where the disk wants that.
#[derive(Debug)]
pub struct Spares {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    maker: Option<Maker>,
    made: u64,
    ordered: bool,
}

impl Spares {
    pub fn start(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<Spares> {
        let maker = disk.wants_spares().then(|| Maker::start(disk.clone(), dir.to_owned())).transpose()?;
        Ok(Spares { disk, dir: dir.to_owned(), maker, made: 0, ordered: false })
    }

    /// Has a spare made, unless one is ready or under way.
    pub fn order(&mut self) {
        if let Some(maker) = &self.maker
            && !self.ordered
        {
            self.made += 1;
            // The thread ends only with this; if it is gone, `take` says so.
            self.ordered = maker.orders.send(self.made).is_ok();
        }
    }

    /// A file of at least `bytes`.
    pub fn take(&mut self, bytes: usize) -> io::Result<Spare> {
        let segment_bytes = self.disk.segment_bytes();
        if bytes as u64 > segment_bytes {
            return Spare::hollow(&*self.disk, &self.dir, "large", bytes as u64);
        }
        self.order();
        self.ordered = false;
        match &self.maker {
            Some(maker) => maker.take(),
            None => Spare::hollow(&*self.disk, &self.dir, "next", segment_bytes),
        }
    }
}

/// The thread that fills files with zeros.
#[derive(Debug)]
struct Maker {
    orders: SyncSender<u64>,
    ready: Receiver<io::Result<Spare>>,
}

impl Maker {
    fn start(disk: Arc<dyn Disk>, dir: PathBuf) -> io::Result<Maker> {
        let (orders, inbox) = sync_channel::<u64>(1);
        let (outbox, ready) = sync_channel(1);
        let make = move || {
            while let Ok(number) = inbox.recv() {
                let spare = Spare::filled(&*disk, &dir, &format!("spare-{number}"), disk.segment_bytes());
                if outbox.send(spare).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("raft-log-spare".into()).spawn(make)?;
        Ok(Maker { orders, ready })
    }

    fn take(&self) -> io::Result<Spare> {
        self.ready.recv().map_err(|_| io::Error::other("the thread that makes spare segments is gone"))?
    }
}

const _: () = assert!(HEAD_ROOM_BYTES + SEAL_ROOM_BYTES < LOG_SEGMENT_BYTES as usize);
const _: () = assert!(record::SEAL_FRAME_BYTES <= SEAL_ROOM_BYTES);
