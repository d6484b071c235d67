//! One process of the store with settings of the test's choice.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result};
use balsa_chaos_tests::lab::Process;
use tempfile::TempDir;

use crate::members::{SERVING, free_port};

const START: Duration = Duration::from_secs(30);

/// Where a process may live: a folder and two ports.
pub struct Place {
    dir: TempDir,
    client_port: u16,
    peer_port: u16,
}

impl Place {
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir().context("make a folder")?;
        Ok(Self { dir, client_port: free_port(), peer_port: free_port() })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    fn peer(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    /// Runs in its folder, and knows no variable but those of the test.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_balsa"));
        command.arg("store").current_dir(self.dir.path()).env_clear();
        command
    }

    /// What every member must be told.
    pub fn flags(&self) -> Vec<String> {
        let settings = self.settings();
        settings.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
    }

    /// The same as a configuration file, with more lines.
    pub fn write_file(&self, name: &str, more: &str) -> Result<()> {
        let lines = self.settings().map(|(name, value)| format!("{name}: {value}\n"));
        std::fs::write(self.path(name), lines.concat() + more).context("write the configuration file")
    }

    fn settings(&self) -> [(&'static str, String); 6] {
        [
            ("data-dir", self.data_dir().display().to_string()),
            ("listen-client-urls", self.endpoint()),
            ("advertise-client-urls", self.endpoint()),
            ("listen-peer-urls", self.peer()),
            ("initial-advertise-peer-urls", self.peer()),
            ("log-level", "debug".to_owned()),
        ]
    }

    pub fn start(&self, command: &mut Command) -> Result<Process> {
        Process::start(command, &self.path("output"))
    }

    /// Returns once it says that it serves, on stdout or stderr.
    pub fn start_serving(&self, command: &mut Command) -> Result<Process> {
        let mut process = self.start(command)?;
        process.wait_for_log(SERVING, START)?;
        Ok(process)
    }

    /// Until it ends by itself.
    pub fn run(&self, command: &mut Command) -> Result<Output> {
        command.output().context("start a process")
    }
}

pub fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
