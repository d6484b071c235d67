//! `<data-dir>/member/id`: who this member is, so that a restart need not be told again.
//!
//! One line, `cluster-id member-id` in hexadecimal. Written once, synced before anything else is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const FILE: &str = "id";

/// `None`: this is the first start.
pub fn read(dir: &Path) -> io::Result<Option<(u64, u64)>> {
    let text = match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let ids = text.trim().split_once(' ').and_then(|(cluster, member)| {
        Some((u64::from_str_radix(cluster, 16).ok()?, u64::from_str_radix(member, 16).ok()?))
    });
    ids.map(Some).ok_or_else(|| io::Error::other("the file `id` does not hold a cluster id and a member id"))
}

/// Whole or not at all: a crash leaves no half of it behind.
pub fn write(dir: &Path, (cluster_id, member_id): (u64, u64)) -> io::Result<()> {
    let unfinished = dir.join("id.tmp");
    let mut file = File::create(&unfinished)?;
    writeln!(file, "{cluster_id:x} {member_id:x}")?;
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
        write(dir.path(), (0xcdf8_1819, 7)).expect("writes");
        assert_eq!(read(dir.path()).expect("reads"), Some((0xcdf8_1819, 7)));
        fs::write(dir.path().join(FILE), "torn").expect("writes");
        assert!(read(dir.path()).is_err());
    }
}
