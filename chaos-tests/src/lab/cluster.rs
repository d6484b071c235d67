//! A one-node cluster: `balsa up` on a host of its own, with kubectl beside it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{Host, Process, binary, eventually};

/// The line that `balsa up` prints when the node is Ready.
pub const READY_LINE: &str = "the cluster is up";
const READY_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Cluster {
    process: Option<Process>,
    host: Host,
    dir: TempDir,
    arguments: Vec<String>,
}

impl Cluster {
    /// Starts and waits until the node is Ready. `arguments` are added to those of `balsa up`.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let mut cluster = Self::prepare(arguments)?;
        cluster.resume()?;
        Ok(cluster)
    }

    /// Everything but the start itself.
    pub fn prepare(arguments: &[&str]) -> Result<Self> {
        // Short, because unix socket paths below it are limited to 107 bytes.
        let dir =
            tempfile::Builder::new().prefix("balsa-").tempdir_in("/tmp").context("make a data directory")?;
        let cluster = Self {
            process: None,
            host: Host::create()?,
            dir,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        };
        make_busybox_image(&cluster.data_dir().join("node/runtime/images"))?;
        Ok(cluster)
    }

    /// Starts `balsa up` on the same data again.
    pub fn resume(&mut self) -> Result<()> {
        let log = self.dir.path().join("balsa.log");
        let mut command = self.host.command(binary("balsa")?);
        command
            .args(["up", "--node-name", "node-1", "--data-dir"])
            .arg(self.data_dir())
            .args(&self.arguments);
        // Each start has a log of its own to look for the line in.
        if log.exists() {
            let number = std::fs::read_dir(self.dir.path()).context("list the logs")?.count();
            std::fs::rename(&log, self.dir.path().join(format!("balsa-{number}.log")))
                .context("keep the old log")?;
        }
        let mut process = Process::start(&mut command, &log)?;
        process
            .wait_for_log(READY_LINE, READY_TIMEOUT)
            .with_context(|| format!("log:\n{}", process.log_tail(40)))?;
        self.process = Some(process);
        Ok(())
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("kubeconfig")
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The running `balsa up`; a programmer error while it is stopped.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("balsa up is running: resume() was called")
    }

    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// kubectl with the admin's kubeconfig and a cache of its own.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command("kubectl");
        command
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", self.dir.path())
            .arg("--cache-dir")
            .arg(self.dir.path().join("kube-cache"))
            .args(arguments);
        command
    }

    /// Standard output of a kubectl that must succeed.
    pub fn kubectl_ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.kubectl(arguments).output().context("run kubectl (package kubernetes-client)")?;
        expect_success(&format!("kubectl {}", arguments.join(" ")), &output)
    }

    /// Standard error of a kubectl that must fail.
    pub fn kubectl_fails(&self, arguments: &[&str]) -> Result<String> {
        let output = self.kubectl(arguments).output().context("run kubectl (package kubernetes-client)")?;
        if output.status.success() {
            bail!(
                "kubectl {} succeeded and should not: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Asks until kubectl's output is as wanted.
    pub fn kubectl_until(
        &self,
        what: &str,
        timeout: Duration,
        arguments: &[&str],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        eventually(what, timeout, || {
            let output = self.kubectl_ok(arguments)?;
            if wanted(&output) {
                Ok(output)
            } else {
                bail!("kubectl {} printed:\n{output}", arguments.join(" "))
            }
        })
    }
}

/// Puts the image `balsa.local/busybox` where a node agent imports it at its start.
pub fn make_busybox_image(images: &Path) -> Result<()> {
    std::fs::create_dir_all(images).context("make the image folder")?;
    let status = Command::new(binary("balsa")?)
        .args(["image-tar", "--program", "/bin/busybox"])
        .args(["--name", "balsa.local/busybox:latest", "--name", "balsa.local/busybox:1", "--output"])
        .arg(images.join("busybox.tar"))
        .status()
        .context("build the busybox image")?;
    anyhow::ensure!(status.success(), "balsa image-tar: {status}");
    Ok(())
}

/// Standard output, or an error with both streams.
pub fn expect_success(what: &str, output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{what}: {}\n{}{stdout}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(stdout)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            if std::thread::panicking() {
                eprintln!("balsa's last lines:\n{}", process.log_tail(60));
            }
            if let Err(error) = process.stop() {
                eprintln!("balsa up did not stop: {error:#}");
            }
        }
        // Containers outlive balsa up by design; `down` takes them and their network away.
        if let Ok(binary) = binary("balsa") {
            let mut down = self.host.command(binary);
            down.args(["down", "--wipe", "--data-dir"]).arg(self.data_dir());
            match down.output() {
                Ok(output) if output.status.success() => {}
                Ok(output) => eprintln!("balsa down: {}", String::from_utf8_lossy(&output.stderr)),
                Err(error) => eprintln!("balsa down: {error}"),
            }
        }
    }
}
