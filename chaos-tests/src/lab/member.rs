//! One member of a store: a host, a data folder, and the process that runs there or not.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::authority::{Authority, PairFiles};
use super::clock::ShiftedClock;
use super::{Host, Process, Target, binary};
use crate::disk::{ForgetfulDisk, Metadata};

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// How a member's process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Stopped,
    Running,
    Paused,
}

pub struct Member {
    // Before disk and host: a process dies before the ground under it goes.
    process: Option<Process>,
    paused: bool,
    /// Of the process that runs now.
    clock: Option<ShiftedClock>,
    disk: Option<ForgetfulDisk>,
    host: Host,
    name: String,
    data_dir: PathBuf,
    log: PathBuf,
    initial_cluster: String,
    /// It was added to a cluster that exists.
    joins: bool,
    tls: Option<PairFiles>,
    target: Target,
}

/// What all members of a cluster are started with.
pub struct Plan<'a> {
    pub target: &'a Target,
    pub initial_cluster: &'a str,
    /// Data folders go below it.
    pub data: &'a Path,
    pub logs: &'a Path,
    /// Each member's data is on a disk of its own that forgets what was not synced.
    pub forgetful: Option<Metadata>,
    /// Clients and peers speak TLS, with the files of these members.
    pub authority: Option<&'a Authority>,
}

impl Member {
    pub fn new(name: String, host: Host, plan: &Plan) -> Result<Self> {
        let place = plan.data.join(&name);
        let disk = plan.forgetful.map(|metadata| ForgetfulDisk::mount(&place, metadata)).transpose()?;
        Ok(Self {
            process: None,
            paused: false,
            clock: None,
            disk,
            data_dir: place.join("data"),
            log: plan.logs.join(format!("{name}.log")),
            tls: plan.authority.map(|authority| authority.files(&name)),
            host,
            name,
            joins: false,
            initial_cluster: plan.initial_cluster.to_owned(),
            target: plan.target.clone(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn address(&self) -> Ipv4Addr {
        self.host.address()
    }

    pub fn client_url(&self) -> String {
        format!("{}://{}:{CLIENT_PORT}", scheme(self.tls.is_some()), self.address())
    }

    pub fn peer_url(&self) -> String {
        peer_url(self.address(), self.tls.is_some())
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// The disk that forgets, if this cluster has such.
    pub fn disk(&mut self) -> Result<&mut ForgetfulDisk> {
        let name = &self.name;
        self.disk.as_mut().with_context(|| {
            format!("{name} has no disk that could do this: the scenario must say `disk: forgetful`")
        })
    }

    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    pub fn condition(&self) -> Condition {
        match (&self.process, self.paused) {
            (None, _) => Condition::Stopped,
            (Some(_), false) => Condition::Running,
            (Some(_), true) => Condition::Paused,
        }
    }

    /// Starts the process; whether it serves is for the caller to find out.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.name);
        let mut command = self.command()?;
        self.clock = None;
        self.process = Some(Process::start(&mut command, &self.log)?);
        self.paused = false;
        Ok(())
    }

    /// From now on it starts as a new member of a store that has already been told of it.
    pub fn set_joining(&mut self) {
        self.joins = true;
    }

    /// Moves its wall clock so far from the machine's, until [`Self::right_clock`] or the end of the process.
    pub fn shift_clock(&mut self, seconds: i32) -> Result<()> {
        self.right_clock()?;
        let process = self.process.as_ref().with_context(|| format!("{} does not run", self.name))?;
        self.clock = Some(ShiftedClock::shift_running(process.pid(), self.paused, seconds)?);
        Ok(())
    }

    /// Nothing to do for one whose clock is right.
    pub fn right_clock(&mut self) -> Result<()> {
        match self.clock.take() {
            Some(clock) if self.process.is_some() => clock.undo_running(self.paused),
            _ => Ok(()),
        }
    }

    /// SIGKILL. A paused process dies of it as well.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().with_context(|| format!("{} does not run", self.name))?;
        self.paused = false;
        process.kill_nine()
    }

    /// SIGTERM, and waits.
    pub fn stop(&mut self) -> Result<()> {
        self.resume()?;
        let mut process = self.process.take().with_context(|| format!("{} does not run", self.name))?;
        process.stop().map(drop)
    }

    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        self.paused = true;
        Ok(())
    }

    /// Continues a paused process; nothing to do for one that runs.
    pub fn resume(&mut self) -> Result<()> {
        if self.paused {
            self.signal(Signal::SIGCONT)?;
            self.paused = false;
        }
        Ok(())
    }

    /// Whether the process ended by itself, which no fault asked for; with its status and last lines.
    pub fn died(&mut self) -> Option<String> {
        let status = self.process.as_mut()?.ended()?;
        let process = self.process.take()?;
        Some(format!(
            "{} ended by itself with {status}; its last lines:\n{}",
            self.name,
            process.log_tail(12)
        ))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))?.signal(signal)
    }

    fn command(&self) -> Result<Command> {
        let program = match &self.target {
            Target::Balsa => binary("balsa")?,
            Target::Etcd(path) => path.clone(),
        };
        let mut command = self.host.command(program);
        if matches!(self.target, Target::Balsa) {
            command.arg("store");
        }
        let (client, peer) = (self.client_url(), self.peer_url());
        command.args([
            "--name",
            &self.name,
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &self.initial_cluster]);
        if self.joins {
            command.args(["--initial-cluster-state", "existing"]);
        }
        if let Some(files) = &self.tls {
            command.arg("--client-cert-auth").arg("--peer-client-cert-auth");
            for side in ["", "peer-"] {
                command.arg(format!("--{side}cert-file")).arg(&files.certificate);
                command.arg(format!("--{side}key-file")).arg(&files.key);
                command.arg(format!("--{side}trusted-ca-file")).arg(&files.authority);
            }
        }
        command.arg("--data-dir").arg(&self.data_dir);
        Ok(command)
    }
}

pub fn peer_url(address: Ipv4Addr, tls: bool) -> String {
    format!("{}://{address}:{PEER_PORT}", scheme(tls))
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}
