//! subPath: a part of a volume, bound to a folder of ours before the container can change it.
//!
//! A container that shares the volume could put a symlink to `/` at the subPath. So the path is resolved once, checked to
//! be inside the volume, opened, and what was opened (not its name) is bind-mounted.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::mounts;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("subPath {0} must be relative and without ..")]
    NotRelative(String),
    #[error("subPath {sub} leads out of the volume")]
    LeadsOut { sub: String },
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Io { action, path, source }
}

/// Binds `volume/sub` to `target`. What is there already from an earlier start of the container is replaced.
pub fn bind(volume: &Path, sub: &str, target: &Path) -> Result<(), Error> {
    if sub.starts_with('/') || sub.split('/').any(|part| part == "..") {
        return Err(Error::NotRelative(sub.to_owned()));
    }
    let root = volume.canonicalize().map_err(io("resolve", volume))?;
    let source = resolve(&root, sub)?;
    let opened = File::open(&source).map_err(io("open", &source))?;
    // Between the check and the opening a symlink may have appeared: ask the kernel what was opened.
    let handle = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    let real = std::fs::read_link(&handle).map_err(io("resolve", &handle))?;
    if !real.starts_with(&root) {
        return Err(Error::LeadsOut { sub: sub.to_owned() });
    }
    let is_dir = opened.metadata().map_err(io("stat", &source))?.is_dir();
    prepare(target, is_dir).map_err(io("create", target))?;
    mounts::bind(&handle, target).map_err(io("bind to", target))
}

/// The existing path, or a new folder inside the volume.
fn resolve(root: &Path, sub: &str) -> Result<PathBuf, Error> {
    let wanted = root.join(sub);
    let leads_out = || Error::LeadsOut { sub: sub.to_owned() };
    if let Ok(found) = wanted.canonicalize() {
        return if found.starts_with(root) { Ok(found) } else { Err(leads_out()) };
    }
    let mut path = root.to_path_buf();
    for part in Path::new(sub).components() {
        path.push(part);
        if !path.exists() {
            std::fs::create_dir(&path).map_err(io("create", &path))?;
        }
        path = path.canonicalize().map_err(io("resolve", &path))?;
        if !path.starts_with(root) {
            return Err(leads_out());
        }
    }
    Ok(path)
}

fn prepare(target: &Path, is_dir: bool) -> std::io::Result<()> {
    mounts::unmount(target).ok();
    if is_dir {
        return std::fs::create_dir_all(target);
    }
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    File::create(target).map(|_| ())
}
