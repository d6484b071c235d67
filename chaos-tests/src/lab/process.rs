//! A process of a test: logs into a file, is signalled by name of the fault, and dies with its owner.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::eventually;

/// Longest time that a clean stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Output of both streams is appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        let errors = file.try_clone().context("share the log file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of the log, for a failure's report.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let skip = log.lines().count().saturating_sub(lines);
        log.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    /// Waits for a text in the log; a process that ends before it is an error with its last lines.
    pub fn wait_for_log(&mut self, text: &str, timeout: Duration) -> Result<()> {
        let log = self.log.clone();
        let child = &mut self.child;
        let ended = |child: &mut Child| child.try_wait().ok().flatten();
        let mut early = None;
        eventually(&format!("{text:?} in {}", log.display()), timeout, || {
            if std::fs::read_to_string(&log).unwrap_or_default().contains(text) {
                return Ok(());
            }
            if let Some(status) = ended(child) {
                early = Some(status);
                return Ok(());
            }
            bail!("not there yet")
        })?;
        match early {
            Some(status) => {
                bail!("ended with {status} before {text:?}; its last lines:\n{}", self.log_tail(20))
            }
            None => Ok(()),
        }
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("a pid fits an i32")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal} to {pid}"))
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL: nothing of the process runs any more when this returns.
    pub fn kill_nine(&mut self) -> Result<()> {
        self.child.kill().context("send SIGKILL")?;
        self.child.wait().context("reap").map(drop)
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let child = &mut self.child;
        eventually("a clean stop", STOP_TIMEOUT, || {
            child.try_wait().context("look at the process")?.context("still running")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
