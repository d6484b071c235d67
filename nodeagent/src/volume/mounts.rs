//! tmpfs and bind mounts below a pod's folder, and taking them down.

use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Mounts once; `size_bytes` none: the kernel's default of half the memory.
pub fn tmpfs(path: &Path, size_bytes: Option<i64>) -> io::Result<()> {
    if is_mount_point(path) {
        return Ok(());
    }
    let options = size_bytes.map(|size| format!("size={size}"));
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    Ok(mount(Some("tmpfs"), path, Some("tmpfs"), flags, options.as_deref())?)
}

pub fn bind(source: &Path, target: &Path) -> io::Result<()> {
    Ok(mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?)
}

pub fn unmount(path: &Path) -> io::Result<()> {
    Ok(umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?)
}

pub fn is_mount_point(path: &Path) -> bool {
    mount_points().iter().any(|point| point == path)
}

/// Deepest first.
pub fn unmount_below(folder: &Path) -> io::Result<()> {
    let mut points: Vec<_> = mount_points().into_iter().filter(|point| point.starts_with(folder)).collect();
    points.sort();
    for point in points.iter().rev() {
        unmount(point)?;
    }
    Ok(())
}

fn mount_points() -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(|raw| PathBuf::from(unescape(raw))).collect()
}

/// The kernel writes space, tab, newline and backslash as `\040` and so on.
fn unescape(raw: &str) -> String {
    let mut out = Vec::new();
    let bytes = raw.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let octal = (bytes[at] == b'\\').then(|| raw.get(at + 1..at + 4)).flatten();
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
