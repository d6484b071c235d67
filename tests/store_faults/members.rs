//! Processes of `balsa store` on loopback ports, armed or not.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use balsa_chaos_tests::disk::{ForgetfulDisk, Metadata, Survivors};
use balsa_chaos_tests::lab::{Process, eventually};
use balsa_store::failpoint::{self, Point};
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::load;

pub const SERVING: &str = "ready to serve client requests";
const START: Duration = Duration::from_secs(30);
/// Small, so that purges and snapshots happen within a second.
const SNAPSHOT_COUNT: &str = "30";

pub struct Members {
    // In this order: a process dies before its disk goes, and a disk before the folder that it is mounted in.
    processes: Vec<Option<Process>>,
    disks: Vec<ForgetfulDisk>,
    dir: TempDir,
    ports: Vec<(u16, u16)>,
    starts: usize,
}

impl Members {
    pub fn new(count: usize) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a data directory")?;
        let ports = (0..count).map(|_| (free_port(), free_port())).collect();
        let processes = (0..count).map(|_| None).collect();
        Ok(Self { processes, disks: Vec::new(), dir, ports, starts: 0 })
    }

    /// Each on a disk that loses whatever was not synced when its power goes.
    pub fn on_forgetful_disks(count: usize, metadata: Metadata) -> Result<Self> {
        let mut members = Self::new(count)?;
        let mount = |member| ForgetfulDisk::mount(&members.place(member), metadata);
        members.disks = (0..count).map(mount).collect::<Result<_>>()?;
        Ok(members)
    }

    /// Kills the member and takes the power from its disk.
    pub fn cut_power(&mut self, member: usize, survivors: Survivors, random: &mut StdRng) -> Result<()> {
        self.kill(member)?;
        self.disks[member].power_cut(survivors, random)
    }

    fn place(&self, member: usize) -> PathBuf {
        self.dir.path().join(format!("m{member}"))
    }

    pub fn data_dir(&self, member: usize) -> PathBuf {
        self.place(member).join("data")
    }

    pub fn endpoint(&self, member: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[member].0)
    }

    /// Starts a process and does not wait for it.
    pub fn spawn(&mut self, member: usize, armed: Option<(Point, u64)>) -> Result<()> {
        let name = |member: usize| format!("m{member}");
        let peer = |member: usize| format!("http://127.0.0.1:{}", self.ports[member].1);
        let initial: Vec<String> =
            (0..self.ports.len()).map(|member| format!("{}={}", name(member), peer(member))).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_balsa"));
        command.args(["store", "--name", &name(member), "--initial-cluster", &initial.join(",")]);
        command.args(["--snapshot-count", SNAPSHOT_COUNT]);
        command.args(["--listen-client-urls", &self.endpoint(member)]);
        command.args(["--advertise-client-urls", &self.endpoint(member)]);
        command.args(["--listen-peer-urls", &peer(member), "--initial-advertise-peer-urls", &peer(member)]);
        command.arg("--data-dir").arg(self.data_dir(member));
        if let Some((point, number)) = armed {
            command.env(failpoint::VARIABLE, format!("{}={number}", point.name()));
        }
        self.starts += 1;
        let log = self.dir.path().join(format!("{}-{}.log", name(member), self.starts));
        self.processes[member] = Some(Process::start(&mut command, &log)?);
        Ok(())
    }

    pub fn start(&mut self, member: usize, armed: Option<(Point, u64)>) -> Result<()> {
        self.spawn(member, armed)?;
        self.wait_until_serving(member)
    }

    pub fn wait_until_serving(&mut self, member: usize) -> Result<()> {
        self.process(member).wait_for_log(SERVING, START)
    }

    pub fn kill(&mut self, member: usize) -> Result<()> {
        self.process(member).kill_nine().map(drop)
    }

    pub fn start_all(&mut self) -> Result<()> {
        for member in 0..self.ports.len() {
            self.spawn(member, None)?;
        }
        (0..self.ports.len()).try_for_each(|member| self.wait_until_serving(member))
    }

    /// Stops the process where it stands.
    pub fn pause(&mut self, member: usize) -> Result<()> {
        self.process(member).signal(Signal::SIGSTOP)
    }

    pub fn wake(&mut self, member: usize) -> Result<()> {
        self.process(member).signal(Signal::SIGCONT)
    }

    pub fn leader(&self) -> Result<usize> {
        for member in 0..self.ports.len() {
            if load::leads(&self.endpoint(member))? {
                return Ok(member);
            }
        }
        anyhow::bail!("no member says that it leads")
    }

    pub fn follower(&self) -> Result<usize> {
        Ok((self.leader()? + 1) % self.ports.len())
    }

    pub fn wait_for_death(&mut self, member: usize, point: Point, timeout: Duration) -> Result<()> {
        self.wait_for_any_death(&[member], point, timeout).map(drop)
    }

    /// The member that came to its point first.
    pub fn wait_for_any_death(
        &mut self,
        members: &[usize],
        point: Point,
        timeout: Duration,
    ) -> Result<usize> {
        let mark = format!("the process ends at {}", point.name());
        eventually(&mark, timeout, || {
            let ended =
                |member: &&usize| self.processes[**member].as_ref().is_some_and(|p| p.log().contains(&mark));
            members.iter().find(ended).copied().context("all of them go on")
        })
        .and_then(|member| {
            self.kill(member)?;
            Ok(member)
        })
    }

    fn process(&mut self, member: usize) -> &mut Process {
        self.processes[member].as_mut().expect("the member was started")
    }
}

/// Below the ports that outgoing connections get, so that nobody can be given it meanwhile.
pub fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(10_000..32_000));
    ports
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("some port of many thousands is free")
}
