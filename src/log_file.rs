//! A log file that begins anew when it has its size, as etcd's (and lumberjack's) does.
//!
//! The old one is renamed to `<name>-<time><extension>` beside it, and compressed if that is asked for; too many of those,
//! or too old ones, are removed. Only files of such names are ever touched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use balsa_store::flags::Rotation;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Zoned;
use jiff::tz::TimeZone;

const MEGABYTE: u64 = 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TIME_FORMAT: &str = "%Y-%m-%dT%H-%M-%S.%3f";
const COMPRESSED: &str = ".gz";

pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    bytes: u64,
}

/// Appends to `path`. Names of keys may stand in it, so that it is its owner's alone.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

impl RotatingFile {
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let file = open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), rotation, file, bytes })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let backup = self.backup();
        fs::rename(&self.path, &backup)?;
        self.file = open(&self.path)?;
        self.bytes = 0;
        if self.rotation.compress {
            compress(&backup)?;
        }
        self.remove_old_ones()
    }

    /// Where the file goes that is full.
    fn backup(&self) -> PathBuf {
        let zone = if self.rotation.local_time { TimeZone::system() } else { TimeZone::UTC };
        let time = Zoned::now().with_time_zone(zone).strftime(TIME_FORMAT).to_string();
        let (stem, extension) = self.name();
        self.path.with_file_name(format!("{stem}-{time}{extension}"))
    }

    /// Of `a/b.log`: `b` and `.log`.
    fn name(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let extension =
            self.path.extension().map_or(String::new(), |_| format!(".{}", text(self.path.extension())));
        (text(self.path.file_stem()), extension)
    }

    fn remove_old_ones(&self) -> io::Result<()> {
        let Rotation { max_backups, max_days, .. } = self.rotation;
        let oldest = SystemTime::now().checked_sub(DAY * u32::try_from(max_days).unwrap_or(u32::MAX));
        for (newer, path) in self.backups()?.iter().rev().enumerate() {
            let is_too_many = max_backups > 0 && newer >= max_backups;
            let is_too_old = max_days > 0 && fs::metadata(path)?.modified().ok() < oldest;
            if is_too_many || is_too_old {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The oldest first, as their names sort.
    fn backups(&self) -> io::Result<Vec<PathBuf>> {
        let (stem, extension) = self.name();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut backups = Vec::new();
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = name.strip_suffix(COMPRESSED).unwrap_or(&name);
            let time = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&extension));
            if time.is_some_and(is_time) {
                backups.push(path);
            }
        }
        backups.sort();
        Ok(backups)
    }
}

/// Of the form that backups are named by.
fn is_time(text: &str) -> bool {
    jiff::civil::DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", text).is_ok()
}

fn compress(path: &Path) -> io::Result<()> {
    let mut target = path.as_os_str().to_owned();
    target.push(COMPRESSED);
    let mut encoder = GzEncoder::new(open(Path::new(&target))?, Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::remove_file(path)
}

impl Write for RotatingFile {
    /// A line is never split between two files.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_full =
            self.bytes > 0 && self.bytes + line.len() as u64 > self.rotation.max_megabytes * MEGABYTE;
        if is_full && let Err(error) = self.rotate() {
            // The log goes on in the old file: it is worth more than its size.
            eprintln!("the log file {} is not rotated: {error}", self.path.display());
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .expect("reads")
            .map(|entry| entry.expect("reads").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Writes so many lines of a bit more than half a megabyte; names of backups have milliseconds.
    fn write(file: &mut RotatingFile, lines: usize) {
        for _ in 0..lines {
            file.write_all(&[b'x'; 600_000]).expect("writes");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_full_file_is_put_aside_and_old_ones_go() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("a.log");
        fs::write(dir.path().join("a-other.log"), "not ours").expect("writes");
        let rotation = Rotation { max_megabytes: 1, max_backups: 2, ..Rotation::default() };
        let mut file = RotatingFile::open(&path, rotation).expect("opens");
        write(&mut file, 5);
        let names = names(dir.path());
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(
            names.contains(&"a-other.log".to_owned()) && names.contains(&"a.log".to_owned()),
            "{names:?}"
        );
        assert_eq!(fs::metadata(&path).expect("is there").len(), 600_000);
        let reopened = RotatingFile::open(&path, Rotation::default()).expect("opens");
        assert_eq!(reopened.bytes, 600_000, "what is there counts");
    }

    #[test]
    fn what_is_put_aside_can_be_compressed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("log");
        let rotation = Rotation { max_megabytes: 1, compress: true, ..Rotation::default() };
        let mut file = RotatingFile::open(&path, rotation).expect("opens");
        write(&mut file, 2);
        let names = names(dir.path());
        assert!(names.len() == 2 && names[1].ends_with(".gz"), "{names:?}");
        let compressed = File::open(dir.path().join(&names[1])).expect("opens");
        let mut text = Vec::new();
        io::copy(&mut flate2::read::GzDecoder::new(compressed), &mut text).expect("is whole");
        assert_eq!(text.len(), 600_000);
    }
}
