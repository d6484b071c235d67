//! Writes a set of files so that a reader sees all of the old or all of the new.
//!
//! ```text
//! volume/key        -> ..data/key
//! volume/..data     -> ..2026_11_21_10_00_00.123456789
//! volume/..2026_…/key   (content)
//! ```
//! A new folder is filled first; renaming the new `..data` link over the old one is the moment of change. Programs watch
//! `..data` to learn of it. Source: the stock kubelet's AtomicWriter layout.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use jiff::Timestamp;

use super::payload::Files;

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";

/// True if anything changed.
pub fn write(volume: &Path, files: &Files, group: Option<u32>) -> io::Result<bool> {
    let current = std::fs::read_link(volume.join(DATA)).ok();
    if let Some(current) = &current
        && holds_exactly(&volume.join(current), files)
    {
        link_names(volume, files)?;
        return Ok(false);
    }
    let folder = Timestamp::now().strftime("..%Y_%m_%d_%H_%M_%S.%9f").to_string();
    fill(&volume.join(&folder), files, group)?;
    let staged = volume.join(DATA_NEW);
    std::fs::remove_file(&staged).ok();
    symlink(&folder, &staged)?;
    std::fs::rename(&staged, volume.join(DATA))?;
    link_names(volume, files)?;
    remove_stale_names(volume, files)?;
    if let Some(old) = current {
        std::fs::remove_dir_all(volume.join(old)).ok();
    }
    Ok(true)
}

fn fill(folder: &Path, files: &Files, group: Option<u32>) -> io::Result<()> {
    make_dir(folder, group)?;
    for (path, file) in files {
        let target = folder.join(path);
        if let Some(parent) = target.parent().filter(|parent| *parent != folder) {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&target, &file.content)?;
        chown(&target, None, group)?;
        // Members of fsGroup may read what the owner may read.
        let mode = if group.is_some() { file.mode | 0o440 } else { file.mode };
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn make_dir(folder: &Path, group: Option<u32>) -> io::Result<()> {
    std::fs::create_dir(folder)?;
    chown(folder, None, group)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

fn holds_exactly(folder: &Path, files: &Files) -> bool {
    let mut found = BTreeSet::new();
    list(folder, "", &mut found);
    found.len() == files.len()
        && files.iter().all(|(path, file)| {
            found.contains(path) && std::fs::read(folder.join(path)).is_ok_and(|have| have == file.content)
        })
}

fn list(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), &format!("{path}/"), found),
            Ok(_) | Err(_) => drop(found.insert(path)),
        }
    }
}

/// First path components, which are the names that a reader sees.
fn names(files: &Files) -> BTreeSet<&str> {
    files.keys().filter_map(|path| path.split('/').next()).collect()
}

fn link_names(volume: &Path, files: &Files) -> io::Result<()> {
    for name in names(files) {
        let link = volume.join(name);
        if !link.is_symlink() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    Ok(())
}

fn remove_stale_names(volume: &Path, files: &Files) -> io::Result<()> {
    let names = names(files);
    for entry in std::fs::read_dir(volume)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !names.contains(name.as_str()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::payload::File;

    fn files(pairs: &[(&str, &str)]) -> Files {
        let file = |content: &str| File { content: content.as_bytes().to_vec(), mode: 0o644 };
        pairs.iter().map(|(path, content)| ((*path).to_owned(), file(content))).collect()
    }

    #[test]
    fn a_change_swaps_the_link_and_drops_stale_names() {
        let volume = tempfile::tempdir().unwrap();
        let path = volume.path();
        assert!(write(path, &files(&[("a", "1"), ("dir/b", "2")]), None).unwrap());
        let first = std::fs::read_link(path.join(DATA)).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("dir/b")).unwrap(), "2");

        assert!(!write(path, &files(&[("a", "1"), ("dir/b", "2")]), None).unwrap(), "same: untouched");
        assert_eq!(std::fs::read_link(path.join(DATA)).unwrap(), first);

        assert!(write(path, &files(&[("a", "3")]), None).unwrap());
        assert_ne!(std::fs::read_link(path.join(DATA)).unwrap(), first);
        assert_eq!(std::fs::read_to_string(path.join("a")).unwrap(), "3");
        assert!(!path.join("dir").exists() && !path.join(&first).exists());
    }
}
