//! `<data-dir>/member/id`: who this member is, so that a restart need not be told again.
//!
//! One line, `cluster-id member-id` in hexadecimal, synced before anything else is written; and the word `started` behind
//! them once there is a raft log. From then on a directory without one has lost it: the member has voted and promised
//! things that nobody would remember.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const FILE: &str = "id";
const STARTED: &str = "started";

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub ids: (u64, u64),
    /// There has been a raft log.
    pub has_started: bool,
}

/// `None`: this is the first start.
pub fn read(dir: &Path) -> io::Result<Option<Found>> {
    let text = match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    parse(&text)
        .map(Some)
        .ok_or_else(|| io::Error::other("the file `id` does not hold a cluster id and a member id"))
}

fn parse(text: &str) -> Option<Found> {
    let mut words = text.split_whitespace();
    let mut id = || u64::from_str_radix(words.next()?, 16).ok();
    let ids = (id()?, id()?);
    match (words.next(), words.next()) {
        (None, None) => Some(Found { ids, has_started: false }),
        (Some(STARTED), None) => Some(Found { ids, has_started: true }),
        _ => None,
    }
}

/// Of a member without anything yet.
pub fn write(dir: &Path, (cluster_id, member_id): (u64, u64)) -> io::Result<()> {
    replace(dir, &format!("{cluster_id:x} {member_id:x}"))
}

/// Of a member that has its log.
pub fn mark_started(dir: &Path, ids: (u64, u64)) -> io::Result<()> {
    let found = Found { ids, has_started: true };
    if read(dir)? == Some(found) {
        return Ok(());
    }
    let (cluster_id, member_id) = ids;
    replace(dir, &format!("{cluster_id:x} {member_id:x} {STARTED}"))
}

/// Whole or not at all: a crash leaves no half of it behind.
fn replace(dir: &Path, line: &str) -> io::Result<()> {
    let unfinished = dir.join("id.tmp");
    let mut file = File::create(&unfinished)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    fs::rename(&unfinished, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(read(dir.path()).expect("reads"), None);
        let ids = (0xcdf8_1819, 7);
        write(dir.path(), ids).expect("writes");
        assert_eq!(read(dir.path()).expect("reads"), Some(Found { ids, has_started: false }));
        for _ in 0..2 {
            mark_started(dir.path(), ids).expect("writes");
            assert_eq!(read(dir.path()).expect("reads"), Some(Found { ids, has_started: true }));
        }
        for broken in ["torn", "7 7 begun", "7 7 started twice"] {
            fs::write(dir.path().join(FILE), broken).expect("writes");
            assert!(read(dir.path()).is_err(), "{broken}");
        }
    }
}
