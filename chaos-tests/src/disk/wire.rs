//! Messages of the kernel's FUSE protocol, version 7.31: fixed little-endian structs behind one header each way.
//!
//! Only what a plain file system needs. Field orders and sizes are those of `linux/fuse.h`.

use std::time::{Duration, UNIX_EPOCH};

use nix::errno::Errno;

use super::content::PAGE_BYTES;
use super::state::{Inode, Kind};

pub const MAJOR: u32 = 7;
pub const MINOR: u32 = 31;
const HEADER_IN_BYTES: usize = 40;
const HEADER_OUT_BYTES: usize = 16;
/// Largest write that the kernel may send at once.
pub const WRITE_MAX_BYTES: u32 = 1 << 20;
/// Room for one request.
pub const REQUEST_MAX_BYTES: usize = WRITE_MAX_BYTES as usize + 4096;
/// Nobody but this kernel changes the files, so what it was told stays true.
const VALID_SECONDS: u64 = 3600;

const BIG_WRITES: u32 = 1 << 5;
const MAX_PAGES: u32 = 1 << 22;

/// What the kernel asks, by `fuse_opcode`.
pub mod opcode {
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const SETATTR: u32 = 4;
    pub const MKNOD: u32 = 8;
    pub const MKDIR: u32 = 9;
    pub const UNLINK: u32 = 10;
    pub const RMDIR: u32 = 11;
    pub const RENAME: u32 = 12;
    pub const LINK: u32 = 13;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const WRITE: u32 = 16;
    pub const STATFS: u32 = 17;
    pub const RELEASE: u32 = 18;
    pub const FSYNC: u32 = 20;
    pub const FLUSH: u32 = 25;
    pub const INIT: u32 = 26;
    pub const OPENDIR: u32 = 27;
    pub const READDIR: u32 = 28;
    pub const RELEASEDIR: u32 = 29;
    pub const FSYNCDIR: u32 = 30;
    pub const CREATE: u32 = 35;
    pub const INTERRUPT: u32 = 36;
    pub const DESTROY: u32 = 38;
    pub const BATCH_FORGET: u32 = 42;
    pub const FALLOCATE: u32 = 43;
    pub const RENAME2: u32 = 45;
}

/// A request: its header's fields, and what follows.
pub struct Request<'a> {
    pub opcode: u32,
    pub unique: u64,
    pub inode: u64,
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// None: shorter than a header, which no kernel sends.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, body) = bytes.split_at_checked(HEADER_IN_BYTES)?;
        Some(Self { opcode: u32_at(header, 4), unique: u64_at(header, 8), inode: u64_at(header, 16), body })
    }

    pub fn u32(&self, offset: usize) -> u32 {
        u32_at(self.body, offset)
    }

    pub fn u64(&self, offset: usize) -> u64 {
        u64_at(self.body, offset)
    }

    /// The name that starts at `offset` and ends with a zero byte; and the offset behind it.
    pub fn name(&self, offset: usize) -> Result<(&'a str, usize), Errno> {
        let rest = self.body.get(offset..).ok_or(Errno::EINVAL)?;
        let length = rest.iter().position(|&byte| byte == 0).ok_or(Errno::EINVAL)?;
        let name = std::str::from_utf8(&rest[..length]).map_err(|_| Errno::EINVAL)?;
        Ok((name, offset + length + 1))
    }
}

/// Beyond the end reads as 0: an older kernel sends shorter structs.
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..offset + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// A struct under construction.
#[derive(Default)]
pub struct Out(Vec<u8>);

impl Out {
    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn zeros(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The answer to a request, ready to be written.
pub fn reply(unique: u64, result: Result<Vec<u8>, Errno>) -> Vec<u8> {
    let (error, body) = match result {
        Ok(body) => (0, body),
        Err(errno) => (-(errno as i32), Vec::new()),
    };
    let length = u32::try_from(HEADER_OUT_BYTES + body.len()).expect("an answer is no longer than a request");
    let mut bytes = Vec::with_capacity(HEADER_OUT_BYTES + body.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&error.to_le_bytes());
    bytes.extend_from_slice(&unique.to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// `fuse_init_out`.
pub fn init() -> Vec<u8> {
    let pages = u16::try_from(u64::from(WRITE_MAX_BYTES) / PAGE_BYTES).expect("256 pages");
    Out::default()
        .u32(MAJOR)
        .u32(MINOR)
        .u32(WRITE_MAX_BYTES) // read ahead
        .u32(BIG_WRITES | MAX_PAGES)
        .u16(16) // background requests
        .u16(12) // of which so many are a crowd
        .u32(WRITE_MAX_BYTES)
        .u32(1) // nanoseconds of a time stamp's grain
        .u16(pages)
        .zeros(34)
        .bytes()
}

/// `fuse_entry_out`.
pub fn entry(number: u64, inode: &Inode) -> Vec<u8> {
    let head = Out::default().u64(number).u64(0).u64(VALID_SECONDS).u64(VALID_SECONDS).u32(0).u32(0);
    attributes_into(head, number, inode).bytes()
}

/// `fuse_attr_out`.
pub fn attributes(number: u64, inode: &Inode) -> Vec<u8> {
    attributes_into(Out::default().u64(VALID_SECONDS).u32(0).u32(0), number, inode).bytes()
}

fn attributes_into(out: Out, number: u64, inode: &Inode) -> Out {
    const FOLDER: u32 = 0o040_000;
    const FILE: u32 = 0o100_000;
    let (kind, size, pages) = match &inode.kind {
        Kind::Folder(_) => (FOLDER, 0, 0),
        Kind::File(file) => (FILE, file.live.size, file.live.page_count()),
    };
    let time = inode.modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    out.u64(number)
        .u64(size)
        .u64(pages * (PAGE_BYTES / 512))
        .u64(time.as_secs())
        .u64(time.as_secs())
        .u64(time.as_secs())
        .u32(time.subsec_nanos())
        .u32(time.subsec_nanos())
        .u32(time.subsec_nanos())
        .u32(kind | inode.mode)
        .u32(1) // names
        .zeros(12) // owner, group, device
        .u32(u32::try_from(PAGE_BYTES).expect("4096"))
        .u32(0)
}

/// `fuse_open_out`: files are known by inode, so there is no handle.
pub fn open() -> Vec<u8> {
    Out::default().zeros(16).bytes()
}

/// `fuse_dirent`s from entry `skip` on, as many as fit. Offsets count entries.
pub fn entries<'a>(
    entries: impl Iterator<Item = (&'a str, u64, bool)>,
    skip: u64,
    room_bytes: usize,
) -> Vec<u8> {
    const IS_FOLDER: u32 = 4;
    const IS_FILE: u32 = 8;
    let mut bytes = Vec::new();
    for (position, (name, number, is_folder)) in
        (1u64..).zip(entries).skip(usize::try_from(skip).unwrap_or(usize::MAX))
    {
        let length = u32::try_from(name.len()).expect("a name is no longer than 255 bytes");
        let head = Out::default()
            .u64(number)
            .u64(position)
            .u32(length)
            .u32(if is_folder { IS_FOLDER } else { IS_FILE })
            .bytes();
        let padded = (head.len() + name.len()).next_multiple_of(8);
        if bytes.len() + padded > room_bytes {
            break;
        }
        let end = bytes.len() + padded;
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(name.as_bytes());
        bytes.resize(end, 0);
    }
    bytes
}

/// `fuse_statfs_out` for a disk of this size.
pub fn statistics(size_bytes: u64, used_bytes: u64) -> Vec<u8> {
    let free = size_bytes.saturating_sub(used_bytes) / PAGE_BYTES;
    let page = u32::try_from(PAGE_BYTES).expect("4096");
    Out::default()
        .u64(size_bytes / PAGE_BYTES)
        .u64(free)
        .u64(free)
        .u64(1 << 20)
        .u64(1 << 20)
        .u32(page)
        .u32(255)
        .u32(page)
        .zeros(28)
        .bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::state::{Disk, Metadata, ROOT};

    #[test]
    fn structs_have_the_sizes_of_the_kernels_header_file() {
        let disk = Disk::new(Metadata::Journaled);
        let root = disk.inode(ROOT).unwrap();
        let sizes = [
            init().len(),
            entry(ROOT, root).len(),
            attributes(ROOT, root).len(),
            open().len(),
            statistics(1, 0).len(),
        ];
        assert_eq!(sizes, [64, 128, 104, 16, 80]);
    }

    #[test]
    fn folders_are_listed_from_where_the_kernel_left_off() {
        let names = || [("a", 2, false), ("bc", 3, true)].into_iter();
        assert_eq!(entries(names(), 0, 1000).len(), 64);
        assert_eq!(entries(names(), 1, 1000), entries(names(), 0, 1000)[32..]);
        assert_eq!(entries(names(), 0, 40).len(), 32, "what does not fit waits for the next call");
    }
}
