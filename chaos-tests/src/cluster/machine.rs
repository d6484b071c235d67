//! A machine of the lab: a host with processes, mounts and a power switch of its own.
//!
//! ```text
//!  network namespace      addresses, rules, cables          crate::lab::Host
//!  process namespace      killing its process 1 ends all    super::init
//!  mount namespace        /run, pod logs, data at /run/balsa
//! ```
//! Programs are started by a thread that has entered the machine, so their files are the machine's own and nothing but
//! their cgroups is left of them when the power goes.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns, unshare};
use serde::{Deserialize, Serialize};

use super::store_disk::StoreDisk;
use super::{cgroups, init};
use crate::disk::server::Order;
use crate::lab::{Host, binary};

pub use super::life::Life;

/// Where a machine is, and its first process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Boot {
    pub init: Life,
    pub data: PathBuf,
}

pub struct Machine {
    // In this order: processes go before their disk and their network.
    power: Option<Boot>,
    disk: Option<StoreDisk>,
    host: Host,
    name: String,
    /// Programs that this process has started here.
    children: Vec<Life>,
}

impl Machine {
    /// One without power, or one that an earlier process has booted and that may have ended since.
    pub fn new(name: String, host: Host, disk: Option<StoreDisk>, power: Option<Boot>) -> Self {
        let power = power.filter(|boot| boot.init.is_alive());
        Self { power, disk, host, name, children: Vec::new() }
    }

    /// Boots it, on `data` that is outside of the machine and that it sees as [`init::DATA`].
    pub fn switch_on(&mut self, data: &Path) -> Result<()> {
        ensure!(self.power.is_none(), "{} has power already", self.name);
        std::fs::create_dir_all(data).with_context(|| format!("create {}", data.display()))?;
        let data = data.canonicalize().with_context(|| format!("find {}", data.display()))?;
        self.power = Some(self.start_init(data)?);
        Ok(())
    }

    fn start_init(&self, data: PathBuf) -> Result<Boot> {
        let mut command = Command::new(binary("lab")?);
        command.arg("machine").arg(&data);
        let started = self.host.run_inside(|| {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID).context("make namespaces")?;
            init::spawn(&mut command)
        })?;
        let ready = started.and_then(init::wait_ready);
        let init = ready.with_context(|| format!("start the first process of {}", self.name))?;
        Ok(Boot { init, data })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn power(&self) -> Option<&Boot> {
        self.power.as_ref()
    }

    pub fn disk(&self) -> Option<&StoreDisk> {
        self.disk.as_ref()
    }

    pub fn order_disk(&self, order: Order) -> Result<()> {
        let disk = self.disk.as_ref().with_context(|| format!("{} has no disk that forgets", self.name))?;
        disk.give(&self.host, order)
    }

    /// A program that runs here until it is killed or the power goes. `arguments` see the machine's own files; `log`
    /// is outside of it.
    pub fn start(&mut self, program: &Path, arguments: &[String], log: &Path) -> Result<Life> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        let errors = out.try_clone().context("share the log file")?;
        let mut command = Command::new(program);
        // A group of its own: a Ctrl-C in the terminal is for the lab.
        command.args(arguments).process_group(0).current_dir("/");
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        let child = self.inside(|| command.spawn())?;
        let child = child.with_context(|| format!("start {} on {}", program.display(), self.name))?;
        let life = Life::of(child.id())?;
        self.children.push(life);
        Ok(life)
    }

    /// Runs `work` on a thread that has entered the machine; processes that it starts belong to the machine.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let boot = self.power.as_ref().with_context(|| format!("{} has no power", self.name))?;
        let open = |kind: &str| {
            let path = format!("/proc/{}/ns/{kind}", boot.init.pid());
            File::open(&path).with_context(|| format!("open {path}"))
        };
        let (mounts, processes) = (open("mnt")?, open("pid")?);
        self.host.run_inside(move || {
            setns(processes, CloneFlags::CLONE_NEWPID).context("enter the machine's processes")?;
            // Threads share a root folder unless they part first.
            unshare(CloneFlags::CLONE_FS).context("part from the other threads' folders")?;
            setns(mounts, CloneFlags::CLONE_NEWNS).context("enter the machine's mounts")?;
            Ok(work())
        })?
    }

    /// Everything that runs here ends at once; data stays.
    pub fn power_off(&mut self) -> Result<()> {
        if let Some(boot) = self.power.take() {
            // The kernel keeps process 1 until all others are reaped, and these are ours to reap.
            let children: Vec<Result<()>> = self.children.drain(..).map(|child| child.kill()).collect();
            // It takes along what did not end.
            boot.init.kill()?;
            cgroups::remove_of_pods(&boot.data);
            return children.into_iter().collect();
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let off = self.power_off();
        let unmounted = self.disk.take().map_or(Ok(()), StoreDisk::unmount);
        if let Err(error) = off.and(unmounted) {
            eprintln!("left behind: {error:#}");
        }
    }
}
