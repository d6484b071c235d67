//! A running process by its id and the time of its start, which together name it for as long as the machine is up.
//!
//! The lab's commands end and its processes go on, so whoever comes next knows a process from a file and is not its
//! parent. A process id alone may have been given to somebody else since.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::lab::eventually;

/// SIGKILL takes effect at once, but a process that writes to a disk ends that first.
const KILLED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    pid: i32,
    /// Clock ticks between the machine's boot and the start of the process.
    started: u64,
}

impl Life {
    pub fn of(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid).context("a pid fits an i32")?;
        let stat = Stat::read(pid).with_context(|| format!("process {pid} is gone already"))?;
        Ok(Self { pid, started: stat.started })
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    pub fn is_alive(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.started == self.started && !stat.is_over)
    }

    /// Nothing to do for one that is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.is_alive() {
            kill(Pid::from_raw(self.pid), signal)
                .with_context(|| format!("send {signal} to process {}", self.pid))?;
        }
        Ok(())
    }

    /// SIGKILL: nothing of the process runs any more when this returns.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        eventually("the end of a killed process", KILLED_WITHIN, || {
            anyhow::ensure!(!self.is_alive(), "process {} still runs", self.pid);
            Ok(())
        })?;
        self.reap();
        Ok(())
    }

    /// Takes a dead child off the process table; somebody else's is reaped by its own parent.
    pub fn reap(&self) {
        let _ = waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG));
    }
}

/// What `/proc/<pid>/stat` says.
struct Stat {
    is_over: bool,
    started: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses and may hold anything, so fields are counted behind it.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        // The state is field 3, the number of threads field 20, the start time field 22.
        let threads: u32 = fields.nth(16)?.parse().ok()?;
        let started = fields.nth(1)?.parse().ok()?;
        // A zombie as soon as its first thread has ended; until the others have, it holds files and nobody can reap it.
        Some(Self { is_over: matches!(state, "Z" | "X") && threads <= 1, started })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = stat("S", 1);
        assert!(!stat.is_over);
        assert_eq!(stat.started, 123_456);
    }

    #[test]
    fn a_zombie_is_over_when_its_last_thread_is() {
        assert!(!stat("Z", 2).is_over);
        assert!(stat("Z", 1).is_over);
    }

    fn stat(state: &str, threads: u32) -> Stat {
        let line = format!(
            "77 (a) b) {state} 1 77 77 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 123456 1000 200"
        );
        Stat::parse(&line).unwrap()
    }

    #[test]
    fn a_killed_child_is_over() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let life = Life::of(child.id()).unwrap();
        assert!(life.is_alive());
        life.kill().unwrap();
        assert!(!life.is_alive());
        assert!(child.wait().is_err(), "it was reaped as it was killed");
        let reused = Life { pid: i32::try_from(std::process::id()).unwrap(), started: 1 };
        assert!(!reused.is_alive(), "the same pid, but another process");
    }
}
