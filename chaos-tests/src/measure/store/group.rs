//! Members of one cluster on this machine, ours or stock etcd's, started alike.

use std::convert::identity;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{RangeRequest, RangeResponse, StatusRequest};
use tokio::runtime::Runtime;

use super::super::machine;
use super::super::spread::Spread;
use super::socket::channel;
use super::wire::{self, Client};
use crate::lab::{Process, binary, eventually};

/// Stock's own limit of a state is far below what is measured here.
const QUOTA_BYTES: u64 = 32 << 30;
const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What is measured: this build, or a stock etcd wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    Balsa,
    Stock(PathBuf),
}

impl Program {
    fn name(&self) -> &'static str {
        match self {
            Program::Balsa => "balsa",
            Program::Stock(_) => "etcd",
        }
    }

    fn base_port(&self) -> u16 {
        match self {
            Program::Balsa => 24_300,
            Program::Stock(_) => 25_300,
        }
    }

    fn command(&self) -> Result<Command> {
        match self {
            Program::Balsa => {
                let mut command = Command::new(binary("balsa")?);
                command.arg("store");
                Ok(command)
            }
            Program::Stock(path) => Ok(Command::new(path)),
        }
    }

    /// The first line that the program tells of itself.
    pub fn version(&self) -> Result<String> {
        let output = self.command()?.arg("--version").output();
        let output = output.with_context(|| format!("ask {} for its version", self.name()))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
    }
}

/// How members are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    pub program: Program,
    /// Between each other and with clients.
    pub tls: bool,
}

impl Setup {
    fn url(&self, port: usize) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", usize::from(self.program.base_port()) + port)
    }
}

pub struct Group {
    size: usize,
    setup: Setup,
    dir: PathBuf,
    members: Vec<Process>,
}

impl Group {
    /// Returns once there is a leader.
    pub fn start(setup: &Setup, size: usize, dir: &Path, runtime: &Runtime) -> Result<Self> {
        std::fs::create_dir_all(dir).context("make a data directory")?;
        let mut group = Self { size, setup: setup.clone(), dir: dir.to_owned(), members: Vec::new() };
        for member in 0..size {
            group.members.push(group.launch(member)?);
        }
        group.leader(runtime)?;
        for member in &mut group.members {
            let ended = member.ended();
            anyhow::ensure!(ended.is_none(), "a member did not start:\n{}", member.log_tail(10));
        }
        Ok(group)
    }

    fn launch(&self, member: usize) -> Result<Process> {
        let program = &self.setup.program;
        let mut command = program.command()?;
        let name = format!("{}{member}", program.name());
        let cluster: Vec<_> =
            (0..self.size).map(|other| format!("{}{other}={}", program.name(), self.peer(other))).collect();
        command.args(["--name", &name, "--initial-cluster", &cluster.join(",")]);
        command.arg("--data-dir").arg(self.dir.join(&name));
        command.args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()]);
        for flag in ["--listen-client-urls", "--advertise-client-urls"] {
            command.args([flag, &self.endpoint(member)]);
        }
        for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            command.args([flag, &self.peer(member)]);
        }
        if self.setup.tls {
            command.args(["--auto-tls", "--peer-auto-tls"]);
        }
        Process::start(&mut command, &self.dir.join(format!("{name}.log")))
    }

    pub fn endpoint(&self, member: usize) -> String {
        self.setup.url(2 * member)
    }

    fn peer(&self, member: usize) -> String {
        self.setup.url(2 * member + 1)
    }

    pub fn leader(&self, runtime: &Runtime) -> Result<usize> {
        let found = eventually("a leader", PATIENCE, || {
            let led = (0..self.size)
                .find(|member| runtime.block_on(leads(&self.endpoint(*member))).unwrap_or(false));
            led.context("nobody leads")
        });
        found.with_context(|| self.members[0].log_tail(10))
    }

    pub fn leader_endpoint(&self, runtime: &Runtime) -> Result<String> {
        Ok(self.endpoint(self.leader(runtime)?))
    }

    pub fn stop(&mut self, member: usize) -> Result<()> {
        self.members[member].stop().map(drop)
    }

    /// Starts a stopped member. Returns the seconds until it answered a read of its own state.
    pub fn resume(&mut self, member: usize, runtime: &Runtime) -> Result<f64> {
        let started = Instant::now();
        self.members[member] = self.launch(member)?;
        let endpoint = self.endpoint(member);
        loop {
            if runtime.block_on(reads(&endpoint)).is_ok() {
                return Ok(started.elapsed().as_secs_f64());
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "{}", self.members[member].log_tail(10));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Of all members since they started.
    pub fn cpu_seconds(&self) -> f64 {
        self.members.iter().map(|member| machine::cpu_seconds(member.pid())).sum()
    }

    pub fn pid(&self, member: usize) -> u32 {
        self.members[member].pid()
    }

    pub fn resident_mib(&self) -> Spread {
        self.members.iter().map(|member| machine::resident_mib(member.pid())).collect()
    }
}

/// Bounded: whatever else listens there may take the question and never answer.
async fn leads(endpoint: &str) -> Result<bool> {
    let ask = async {
        let mut client = MaintenanceClient::new(channel(endpoint, identity).await?);
        client.status(StatusRequest {}).await.context("status")
    };
    let status = tokio::time::timeout(ANSWER_TIMEOUT, ask).await.context("no answer")??.into_inner();
    Ok(status.header.is_some_and(|header| header.member_id == status.leader && status.leader != 0))
}

async fn reads(endpoint: &str) -> Result<()> {
    let mut clients = Client::connect(endpoint, 1).await?;
    let get = RangeRequest { key: "list/".into(), serializable: true, ..RangeRequest::default() };
    let _: RangeResponse = clients[0].ask(wire::RANGE, &get).await?;
    Ok(())
}
