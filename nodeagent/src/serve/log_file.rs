//! A container's log file as a stream of raw lines, across rotations.
//!
//! ```text
//! read to the end ──► not followed, or the container has ended: done
//!        ▲                       │
//!        └── inotify: written ◄──┘ inotify: a new file has the name ──► read the old one out, open the new one
//! ```

use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::limits;

const BLOCK_BYTES: usize = 64 << 10;

pub struct LogFile {
    path: PathBuf,
    file: File,
    inode: u64,
    /// What was read and not yet given out begins at `given`.
    buffer: Vec<u8>,
    given: usize,
    /// Present when the file is followed.
    changes: Option<EventStream<Vec<u8>>>,
}

impl LogFile {
    /// `tail`: start so many lines before the end. The watch is set up before the first read, so nothing is missed.
    pub async fn open(path: &Path, tail: Option<usize>, follow: bool) -> std::io::Result<Self> {
        let changes = if follow { Some(watch(path)?) } else { None };
        let mut file = File::open(path).await?;
        let inode = file.metadata().await?.ino();
        if let Some(lines) = tail {
            let start = tail_start(&mut file, lines).await?;
            file.seek(SeekFrom::Start(start)).await?;
        }
        Ok(Self { path: path.to_path_buf(), file, inode, buffer: Vec::new(), given: 0, changes })
    }

    /// The next line with its newline, or `None` at the end of what is written (a last line without newline included,
    /// once `is_final` says that nothing will follow).
    pub async fn next_line(&mut self, is_final: bool) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            let waiting = &self.buffer[self.given..];
            if let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.give(end + 1)));
            }
            if waiting.len() > limits::LOG_LINE_BYTES {
                return Ok(Some(self.give(waiting.len())));
            }
            if self.fill().await? > 0 || self.reopen_if_rotated().await? {
                continue;
            }
            let rest = self.buffer.len() - self.given;
            return Ok((is_final && rest > 0).then(|| self.give(rest)));
        }
    }

    fn give(&mut self, bytes: usize) -> Vec<u8> {
        let line = self.buffer[self.given..self.given + bytes].to_vec();
        self.given += bytes;
        line
    }

    /// Reads one block behind what is waiting.
    async fn fill(&mut self) -> std::io::Result<usize> {
        self.buffer.drain(..self.given);
        self.given = 0;
        let start = self.buffer.len();
        self.buffer.resize(start + BLOCK_BYTES, 0);
        let read = self.file.read(&mut self.buffer[start..]).await;
        self.buffer.truncate(start + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Called at the end of the open file: a new file of the name takes over.
    async fn reopen_if_rotated(&mut self) -> std::io::Result<bool> {
        if self.changes.is_none() {
            return Ok(false);
        }
        let current = match tokio::fs::metadata(&self.path).await {
            Ok(meta) => meta.ino(),
            // Between the rename and the new file.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if current == self.inode {
            return Ok(false);
        }
        self.file = File::open(&self.path).await?;
        self.inode = self.file.metadata().await?.ino();
        Ok(true)
    }

    /// Waits until something was written or renamed in the log's folder.
    pub async fn changed(&mut self) {
        match &mut self.changes {
            Some(changes) => drop(changes.next().await),
            None => std::future::pending().await,
        }
    }
}

fn watch(path: &Path) -> std::io::Result<EventStream<Vec<u8>>> {
    let inotify = Inotify::init()?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mask = WatchMask::MODIFY | WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::DELETE;
    inotify.watches().add(folder, mask)?;
    inotify.into_event_stream(vec![0; 4096])
}

/// The offset of the last `lines` lines, found from the end.
async fn tail_start(file: &mut File, lines: usize) -> std::io::Result<u64> {
    let length = file.metadata().await?.len();
    if lines == 0 {
        return Ok(length);
    }
    let mut position = length;
    let mut newlines = 0;
    let mut block = vec![0; BLOCK_BYTES];
    while position > 0 {
        let size = position.min(BLOCK_BYTES as u64);
        position -= size;
        file.seek(SeekFrom::Start(position)).await?;
        let part = &mut block[..usize::try_from(size).unwrap_or(BLOCK_BYTES)];
        file.read_exact(part).await?;
        for (at, byte) in part.iter().enumerate().rev() {
            let offset = position + at as u64;
            // The newline at the very end closes the last line and begins none.
            if *byte == b'\n' && offset + 1 != length {
                newlines += 1;
                if newlines == lines {
                    return Ok(offset + 1);
                }
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(log: &mut LogFile) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = log.next_line(false).await.unwrap() {
            lines.push(String::from_utf8(line).unwrap());
        }
        lines
    }

    #[tokio::test]
    async fn tail_counts_from_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(&path, "a\nb\nc\n").unwrap();
        for (tail, expected) in
            [(0, vec![]), (1, vec!["c\n"]), (2, vec!["b\n", "c\n"]), (9, vec!["a\n", "b\n", "c\n"])]
        {
            let mut log = LogFile::open(&path, Some(tail), false).await.unwrap();
            assert_eq!(lines(&mut log).await, expected, "tail {tail}");
        }
    }

    #[tokio::test]
    async fn follows_writes_and_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(&path, "a\n").unwrap();
        let mut log = LogFile::open(&path, None, true).await.unwrap();
        assert_eq!(lines(&mut log).await, ["a\n"]);
        std::fs::write(&path, "a\nb\n").unwrap();
        log.changed().await;
        assert_eq!(lines(&mut log).await, ["b\n"]);
        std::fs::rename(&path, folder.path().join("0.log.1")).unwrap();
        std::fs::write(&path, "c\n").unwrap();
        log.changed().await;
        assert_eq!(lines(&mut log).await, ["c\n"]);
    }
}
