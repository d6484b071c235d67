//! The first process of a machine: makes the folders that are the machine's own, then reaps until it is killed.
//!
//! It is process 1 of a process namespace, so killing it is the machine's power switch: the kernel ends all processes in
//! it, containers too, and takes the mounts of its mount namespace away with them.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout};

/// Where a machine sees its data. Short, since paths of sockets below it are limited to 107 bytes.
pub const DATA: &str = "/run/balsa";

/// What a node keeps outside of its data folder; on each machine it is a folder below the data.
const OWN_FOLDERS: [(&str, &str); 2] = [("/var/log/pods", "pod-logs"), ("/var/lib/cni", "cni")];

/// Said on standard output when the machine is ready for processes.
pub const READY: &str = "ready";

/// `data` becomes [`DATA`]. Must run as process 1 of new process and mount namespaces.
pub fn run(data: &Path) -> Result<Infallible> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block().context("hold back SIGCHLD")?;
    mount_folders(data)?;
    println!("{READY}");
    std::io::stdout().flush().context("say that the machine is ready")?;
    let_go_of_the_terminal()?;
    loop {
        signals.wait().context("wait for a child's end")?;
        while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
    }
}

/// The machine may outlive the command that booted it, and whoever reads what that says waits for the last writer.
fn let_go_of_the_terminal() -> Result<()> {
    let nothing = File::options().write(true).open("/dev/null").context("open /dev/null")?;
    dup2_stdout(&nothing).and(dup2_stderr(&nothing)).context("let go of the terminal")
}

fn mount_folders(data: &Path) -> Result<()> {
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context("keep the machine's mounts to itself")?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), nothing).context("mount /proc")?;
    for (place, name) in OWN_FOLDERS {
        bind(&data.join(name), Path::new(place))?;
    }
    // Network namespaces of pods, sockets and locks of the runtime are below /run.
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755")).context("mount /run")?;
    bind(data, Path::new(DATA))
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    for folder in [from, to] {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("mount {} at {}", from.display(), to.display()))
}
