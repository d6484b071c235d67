//! `balsa down`: ends what `balsa up` leaves running on this machine, and, if asked, removes its data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use balsa_nodeagent::config::{POD_LOGS_DIR, RuntimeChoice};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::up::layout::Layout;

/// A clean stop takes a few seconds; this is when to complain.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// The process is not ours to wait for, so it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The directory that `balsa up` was given.
    #[arg(long, default_value = "/var/lib/balsa")]
    pub data_dir: PathBuf,

    /// Also remove everything in it (certificates, objects, volumes) and the logs of its pods.
    #[arg(long)]
    pub wipe: bool,
}

pub async fn run(args: &Args) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "balsa down ends containers and networks, which needs root: run it with sudo"
    );
    let layout = Layout::under(&args.data_dir)?;
    ensure!(layout.is_ours(), "{} was not made by balsa up: nothing was done", layout.data_dir.display());
    stop_process(&layout.pid_file()).await?;
    let node = balsa_nodeagent::Config::in_data_dir(&layout.runtime_dir());
    let node =
        balsa_nodeagent::Config { root_dir: layout.node_dir(), pod_logs_dir: POD_LOGS_DIR.into(), ..node };
    // Ours last: with it go the network and the mounts that the other's pods still use.
    let external = external_runtime(&layout)?.map(RuntimeChoice::Endpoint);
    let runtimes = external.into_iter().chain([node.runtime.clone()]);
    let mut removed = 0;
    for runtime in runtimes {
        let node = balsa_nodeagent::Config { runtime, ..node.clone() };
        let of_runtime = balsa_nodeagent::teardown::run(&node).await;
        removed += of_runtime.context("take the node's containers and network away")?;
    }
    println!("{removed} pods removed");
    if args.wipe {
        balsa_nodeagent::teardown::remove_logs(&node);
        std::fs::remove_dir_all(&layout.data_dir)
            .with_context(|| format!("remove {}", layout.data_dir.display()))?;
        println!("{} removed", layout.data_dir.display());
    }
    Ok(())
}

/// The socket of the runtime that `balsa up` was last given.
fn external_runtime(layout: &Layout) -> Result<Option<PathBuf>> {
    let path = layout.runtime_endpoint_file();
    match std::fs::read_to_string(&path) {
        Ok(socket) => Ok(Some(PathBuf::from(socket))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// SIGTERM to the process of the pid file, if it still is a balsa.
async fn stop_process(pid_file: &Path) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return Ok(()) };
    let number: i32 = text.trim().parse().with_context(|| format!("read {}", pid_file.display()))?;
    if !is_balsa(number) {
        return Ok(());
    }
    kill(Pid::from_raw(number), Signal::SIGTERM).with_context(|| format!("stop process {number}"))?;
    let gone = async {
        while is_balsa(number) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(STOP_TIMEOUT, gone).await.is_err() {
        bail!("process {number} does not end: stop it by hand, then call again");
    }
    Ok(())
}

/// Guards against a pid that another process has been given since.
fn is_balsa(pid: i32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = command.split(|byte| *byte == 0);
    words.next().is_some_and(|word| word.ends_with(b"balsa")) && words.next() == Some(b"up")
}
