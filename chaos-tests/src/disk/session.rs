//! One mount's conversation with the kernel: a request, an answer, in turn.
//!
//! Single-threaded on purpose: a slow disk is slow for everybody who waits for it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;

use super::content::PAGE_BYTES;
use super::state::{Disk, Kind};
use super::wire::{self, Out, Request, opcode};

/// What `statfs` tells; a full disk tells that all of it is used.
const SIZE_BYTES: u64 = 8 << 30;
/// Bits of `fuse_setattr_in.valid`.
const SET_MODE: u32 = 1;
const SET_SIZE: u32 = 1 << 3;
const KEEP_SIZE: u32 = 1;
const RENAME_NOREPLACE: u32 = 1;

type Reply = Result<Vec<u8>, Errno>;

/// Serves until the file system is unmounted or the connection aborted.
pub fn serve(mut device: File, disk: &Arc<Mutex<Disk>>) {
    let mut buffer = vec![0; wire::REQUEST_MAX_BYTES];
    loop {
        let length = match device.read(&mut buffer) {
            Ok(length) => length,
            // The request was interrupted before it was read.
            Err(error)
                if error.kind() == ErrorKind::Interrupted
                    || error.raw_os_error() == Some(Errno::ENOENT as i32) =>
            {
                continue;
            }
            // ENODEV: unmounted.
            Err(_) => return,
        };
        let Some(request) = Request::parse(&buffer[..length]) else { continue };
        if let Some(answer) = answer(&request, disk) {
            // ENOENT: the process that asked was killed meanwhile.
            let _ = device.write_all(&wire::reply(request.unique, answer));
        }
    }
}

/// None: this request has no answer.
fn answer(request: &Request, disk: &Mutex<Disk>) -> Option<Reply> {
    let wait = delay(request.opcode, disk);
    if !wait.is_zero() {
        std::thread::sleep(wait);
    }
    // A panic elsewhere does not damage the state: each method leaves it whole.
    let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
    match request.opcode {
        opcode::FORGET => {
            disk.forget(request.inode, request.u64(0));
            None
        }
        opcode::BATCH_FORGET => {
            for number in 0..request.u32(0) as usize {
                disk.forget(request.u64(8 + 16 * number), request.u64(16 + 16 * number));
            }
            None
        }
        opcode::INTERRUPT => None,
        _ => Some(handle(request, &mut disk)),
    }
}

fn delay(asked: u32, disk: &Mutex<Disk>) -> Duration {
    let trouble = disk.lock().unwrap_or_else(PoisonError::into_inner).trouble;
    match asked {
        opcode::FSYNC | opcode::FSYNCDIR => trouble.sync_delay,
        opcode::WRITE => trouble.write_delay,
        _ => Duration::ZERO,
    }
}

fn handle(request: &Request, disk: &mut Disk) -> Reply {
    let inode = request.inode;
    match request.opcode {
        opcode::INIT => Ok(wire::init()),
        opcode::LOOKUP => {
            let number = disk.lookup(inode, request.name(0)?.0)?;
            entry(disk, number)
        }
        opcode::GETATTR => Ok(wire::attributes(inode, disk.inode(inode)?)),
        opcode::SETATTR => set_attributes(request, disk),
        opcode::MKNOD => {
            let number = disk.create(inode, request.name(16)?.0, request.u32(0))?;
            entry(disk, number)
        }
        opcode::MKDIR => {
            let number = disk.make_folder(inode, request.name(8)?.0, request.u32(0))?;
            entry(disk, number)
        }
        opcode::CREATE => {
            let number = disk.create(inode, request.name(16)?.0, request.u32(4))?;
            let mut reply = entry(disk, number)?;
            reply.extend(wire::open());
            Ok(reply)
        }
        opcode::UNLINK => done(disk.unlink(inode, request.name(0)?.0)),
        opcode::RMDIR => done(disk.remove_folder(inode, request.name(0)?.0)),
        opcode::RENAME => rename(request, disk, 8, 0),
        opcode::RENAME2 => rename(request, disk, 16, request.u32(8)),
        opcode::LINK => {
            disk.link(request.u64(0), inode, request.name(8)?.0)?;
            entry(disk, request.u64(0))
        }
        opcode::READ => Ok(disk.file(inode)?.live.read(request.u64(8), u64::from(request.u32(16)))),
        opcode::WRITE => write(request, disk),
        opcode::FALLOCATE => allocate(request, disk),
        opcode::FSYNC => done(disk.sync_file(inode)),
        opcode::FSYNCDIR => done(disk.sync_folder(inode)),
        opcode::READDIR => list(request, disk),
        opcode::STATFS => {
            let used = if disk.trouble.full { SIZE_BYTES } else { disk.used_bytes() };
            Ok(wire::statistics(SIZE_BYTES, used))
        }
        opcode::OPEN | opcode::OPENDIR => Ok(wire::open()),
        // Closing makes nothing durable, here as elsewhere.
        opcode::FLUSH | opcode::RELEASE | opcode::RELEASEDIR | opcode::DESTROY => Ok(Vec::new()),
        // The kernel remembers this answer and does without.
        _ => Err(Errno::ENOSYS),
    }
}

fn done(result: Result<(), Errno>) -> Reply {
    result.map(|()| Vec::new())
}

fn entry(disk: &mut Disk, number: u64) -> Reply {
    disk.remember(number);
    Ok(wire::entry(number, disk.inode(number)?))
}

fn set_attributes(request: &Request, disk: &mut Disk) -> Reply {
    let valid = request.u32(0);
    if valid & SET_SIZE != 0 {
        disk.truncate(request.inode, request.u64(16))?;
    }
    if valid & SET_MODE != 0 {
        disk.set_mode(request.inode, request.u32(68))?;
    }
    Ok(wire::attributes(request.inode, disk.inode(request.inode)?))
}

fn rename(request: &Request, disk: &mut Disk, names_at: usize, flags: u32) -> Reply {
    let to_folder = request.u64(0);
    let (from, next) = request.name(names_at)?;
    let (to, _) = request.name(next)?;
    match flags {
        0 => {}
        RENAME_NOREPLACE if disk.lookup(to_folder, to).is_ok() => return Err(Errno::EEXIST),
        RENAME_NOREPLACE => {}
        _ => return Err(Errno::EINVAL),
    }
    done(disk.rename((request.inode, from), (to_folder, to)))
}

fn write(request: &Request, disk: &mut Disk) -> Reply {
    const DATA_AT: usize = 40;
    let size = request.u32(16);
    let data = request.body.get(DATA_AT..DATA_AT + size as usize).ok_or(Errno::EINVAL)?;
    disk.write(request.inode, request.u64(8), data)?;
    Ok(Out::default().u32(size).u32(0).bytes())
}

fn allocate(request: &Request, disk: &mut Disk) -> Reply {
    let mode = request.u32(24);
    if mode & !KEEP_SIZE != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let (offset, length) = (request.u64(8), request.u64(16));
    if length / PAGE_BYTES > SIZE_BYTES / PAGE_BYTES {
        return Err(Errno::EFBIG);
    }
    done(disk.allocate(request.inode, offset, length, mode & KEEP_SIZE != 0))
}

fn list(request: &Request, disk: &Disk) -> Reply {
    let folder = disk.folder(request.inode)?;
    let of_folder =
        |number: &u64| disk.inode(*number).is_ok_and(|inode| matches!(inode.kind, Kind::Folder(_)));
    let entries = folder.live.iter().map(|(name, number)| (name.as_str(), *number, of_folder(number)));
    Ok(wire::entries(entries, request.u64(8), request.u32(16) as usize))
}
