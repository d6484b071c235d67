//! Removes what killed runs left behind: namespaces, processes in them, mounts.
//!
//! All that a run makes carries its process id in its name, `balsa-<pid>-n…`. Whatever names a process that is gone is
//! nobody's any more.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::host::remove;

/// Looks once; what cannot be removed is said on standard error.
pub fn sweep() -> Result<()> {
    clear(is_orphan)?;
    unmount(|place| place.split('/').any(is_orphan))
}

/// Unmounts what is mounted at a `wanted` place; what stays is said on standard error.
pub fn unmount(wanted: impl Fn(&str) -> bool) -> Result<()> {
    for Mount { place, .. } in mounts()?.into_iter().filter(|mount| wanted(&mount.place)) {
        if let Err(error) = umount2(Path::new(&place), MntFlags::MNT_DETACH) {
            eprintln!("left behind: mount {place}: {error}");
        }
    }
    Ok(())
}

/// Removes the namespaces whose name is `wanted`, with all processes in them.
pub fn clear(wanted: impl Fn(&str) -> bool) -> Result<()> {
    for namespace in namespaces()?.into_iter().filter(|name| wanted(name)) {
        for pid in pids(&namespace)? {
            // Gone by itself is as good.
            let _ = kill(pid, Signal::SIGKILL);
        }
        remove(&namespace);
    }
    Ok(())
}

/// `balsa-<pid>-n…` whose process is gone.
fn is_orphan(name: &str) -> bool {
    let Some((pid, rest)) = name.strip_prefix("balsa-").and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    rest.starts_with('n') && pid.parse::<u32>().is_ok_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

fn namespaces() -> Result<Vec<String>> {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return Ok(Vec::new()) };
    entries
        .map(|entry| Ok(entry.context("list the namespaces")?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn pids(namespace: &str) -> Result<Vec<Pid>> {
    let output = Command::new("ip")
        .args(["netns", "pids", namespace])
        .output()
        .context("run ip (package iproute2)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).map(Pid::from_raw).collect())
}

/// A line of the kernel's list.
pub struct Mount {
    pub device: String,
    pub place: String,
}

/// What is mounted where, as this process sees it.
pub fn mounts() -> Result<Vec<Mount>> {
    let text = std::fs::read_to_string("/proc/self/mounts").context("list the mounts")?;
    let mount = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some(Mount { device: words.next()?, place: words.next()? })
    };
    Ok(text.lines().filter_map(mount).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_processes_that_are_gone_are_orphans() {
        assert!(!is_orphan(&format!("balsa-{}-n0-m1", std::process::id())));
        assert!(is_orphan("balsa-4194305-n0-m1"), "no process has an id above the kernel's largest");
        assert!(!is_orphan("balsa-4194305"), "a folder of somebody else");
        assert!(!is_orphan("balsa-lab-m1"));
        assert!(!is_orphan("other"));
    }
}
