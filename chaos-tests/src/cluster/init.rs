//! The first process of a machine: makes the folders that are the machine's own, then reaps until it is killed.
//!
//! It is process 1 of a process namespace, so killing it is the machine's power switch: the kernel ends all processes in
//! it, containers too, and takes the mounts of its mount namespace away with them.

use std::convert::Infallible;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout};

use super::life::Life;
use crate::disk::mount::DEVICE as DISK_DEVICE;
use crate::lab::sweep;

/// Where a machine sees its data. Short, since paths of sockets below it are limited to 107 bytes.
pub const DATA: &str = "/run/balsa";

/// What a node keeps outside of its data folder; on each machine it is a folder below the data.
const OWN_FOLDERS: [(&str, &str); 2] = [("/var/log/pods", "pod-logs"), ("/var/lib/cni", "cni")];

/// Said on standard output.
const READY: &str = "ready";

/// `data` becomes [`DATA`]. Must run as process 1 of new process and mount namespaces.
pub fn run(data: &Path) -> Result<Infallible> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block().context("hold back SIGCHLD")?;
    mount_folders(data)?;
    say_ready()?;
    loop {
        signals.wait().context("wait for a child's end")?;
        while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
    }
}

/// Of a process that may outlive the command that started it, and so lets go of its terminal: whoever reads what that
/// command says waits for the last writer.
pub fn say_ready() -> Result<()> {
    println!("{READY}");
    std::io::stdout().flush().context("say that all is ready")?;
    let nothing = File::options().write(true).open("/dev/null").context("open /dev/null")?;
    dup2_stdout(&nothing).and(dup2_stderr(&nothing)).context("let go of the terminal")
}

/// Starts a process that will [`say_ready`].
pub fn spawn(command: &mut Command) -> Result<Child> {
    // A group of its own: a Ctrl-C in the terminal is for the lab.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).current_dir("/");
    command.spawn().with_context(|| format!("run {command:?}"))
}

/// Waits until it has. The first process of a machine is known by another id in its own namespace: this is not to be
/// called there. One that does not get ready is killed.
pub fn wait_ready(mut child: Child) -> Result<Life> {
    let ready = hear_ready(&mut child);
    if ready.is_err() {
        // Gone by itself is as good.
        let _ = child.kill().and_then(|()| child.wait());
    }
    ready
}

fn hear_ready(child: &mut Child) -> Result<Life> {
    let life = Life::of(child.id())?;
    let mut line = String::new();
    let output = child.stdout.take().expect("its output is piped");
    BufReader::new(output).read_line(&mut line).context("hear whether it is ready")?;
    ensure!(line.trim() == READY, "it did not get ready: it said why above");
    Ok(life)
}

fn mount_folders(data: &Path) -> Result<()> {
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context("keep the machine's mounts to itself")?;
    leave_other_disks(data)?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), nothing).context("mount /proc")?;
    for (place, name) in OWN_FOLDERS {
        bind(&data.join(name), Path::new(place))?;
    }
    // Network namespaces of pods, sockets and locks of the runtime are below /run.
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755")).context("mount /run")?;
    bind(data, Path::new(DATA))
}

/// Disks of other machines' stores, which this one would keep in use after they are gone.
fn leave_other_disks(data: &Path) -> Result<()> {
    for mount in sweep::mounts()?.iter().filter(|mount| mount.device == DISK_DEVICE) {
        let place = Path::new(&mount.place);
        if !place.starts_with(data) {
            umount2(place, MntFlags::MNT_DETACH).with_context(|| format!("leave {}", mount.place))?;
        }
    }
    Ok(())
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    for folder in [from, to] {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("mount {} at {}", from.display(), to.display()))
}
