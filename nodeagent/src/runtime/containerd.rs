//! containerd as a supervised child: its own root, state, socket and configuration under one folder.
//!
//! ```text
//! absent ──spawn──► starting ──socket answers──► running ──process dies──► (back-off) ──► starting
//!    └──pid file names a live containerd of this folder, socket answers──► adopted ──dies──► starting
//! ```
//! Promised: containers outlive both of us. containerd is in its own process group (Ctrl-C does not reach it), it is not
//! killed when this process is, and its shims are children of init. After `kill -9` of balsa the next start adopts it.
//! A clean stop ends containerd with SIGTERM, which leaves the shims and their containers running.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::carried::{self, Importer, PAUSE_IMAGE};
use super::{Runtime, cri::Cri};
use crate::{cgroup, limits};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "containerd is not installed: no program named {program} in PATH (on Debian: apt install containerd)"
    )]
    NotInstalled { program: String },
    #[error("start {program}")]
    Spawn {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("prepare {}", path.display())]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the socket path {} is longer than {} bytes; choose a shorter data directory", path.display(), limits::SOCKET_PATH_BYTES)]
    SocketPathTooLong { path: PathBuf },
    #[error("containerd does not answer after {} s; its log is {}", limits::CONTAINERD_READY.as_secs(), log.display())]
    NotReady { log: PathBuf },
    #[error("containerd ended while starting ({status}); its log is {}", log.display())]
    Ended { status: std::process::ExitStatus, log: PathBuf },
    #[error("carried image")]
    Image(#[from] carried::Error),
}

#[derive(Debug, Clone)]
pub struct Config {
    /// Everything of containerd is below this folder.
    pub folder: PathBuf,
    /// CNI configuration is read from here; whoever sets up the pod network writes it.
    pub cni_conf_dir: PathBuf,
    /// `*.tar` here are imported at start.
    pub images_dir: PathBuf,
}

impl Config {
    pub fn under(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join("containerd"),
            cni_conf_dir: data_dir.join("cni"),
            images_dir: data_dir.join("images"),
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("containerd.pid")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("containerd.log")
    }
}

/// A containerd that answers. `run` keeps it so.
pub struct Containerd {
    config: Config,
    process: Process,
    snapshotter: &'static str,
}

enum Process {
    Child(Child),
    /// Started by an earlier life of this agent.
    Adopted(Pid),
}

const PROGRAM: &str = "containerd";

impl Containerd {
    /// Adopts or starts; returns when CRI answers and the carried images are there.
    pub async fn start(config: Config) -> Result<Self, Error> {
        if config.socket().as_os_str().len() > limits::SOCKET_PATH_BYTES {
            return Err(Error::SocketPathTooLong { path: config.socket() });
        }
        let snapshotter = prepare(&config)?;
        let process = match adopt(&config).await {
            Some(pid) => {
                info!(pid = pid.as_raw(), "containerd of an earlier start adopted");
                Process::Adopted(pid)
            }
            None => Process::Child(spawn(&config).await?),
        };
        let containerd = Self { config, process, snapshotter };
        let importer = Importer::new(&containerd.config.socket(), snapshotter);
        importer.ensure_pause().await?;
        importer.import_folder(&containerd.config.images_dir).await?;
        Ok(containerd)
    }

    pub fn socket(&self) -> PathBuf {
        self.config.socket()
    }

    /// Restarts containerd whenever it dies; on shutdown stops it and leaves the shims.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let (first, longest) = limits::CONTAINERD_BACKOFF;
        let mut pause = first;
        loop {
            let since = Instant::now();
            tokio::select! {
                () = self.process.ended() => {}
                () = shutdown.cancelled() => return self.stop().await,
            }
            pause = if since.elapsed() > limits::CONTAINERD_READY { first } else { (pause * 2).min(longest) };
            warn!("containerd ended; it is started again");
            loop {
                match spawn(&self.config).await {
                    Ok(child) => break self.process = Process::Child(child),
                    Err(error) => warn!(error = %error, "containerd does not start; tried again"),
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest),
                    () = shutdown.cancelled() => return,
                }
            }
            let importer = Importer::new(&self.config.socket(), self.snapshotter);
            if let Err(error) = importer.ensure_pause().await {
                warn!(%error, "the sandbox image is not there");
            }
        }
    }

    /// SIGTERM ends the daemon alone: shims and containers go on.
    pub async fn stop(mut self) {
        if let Some(pid) = self.process.pid() {
            if let Err(error) = kill(pid, Signal::SIGTERM) {
                warn!(%error, "cannot signal containerd");
            }
            if tokio::time::timeout(limits::CONTAINERD_STOP, self.process.ended()).await.is_err() {
                warn!("containerd did not end in time; left alone");
                return;
            }
        }
        // The next start finds no pid file and need not ask whether it may adopt.
        std::fs::remove_file(self.config.pid_file()).ok();
    }
}

impl Process {
    fn pid(&self) -> Option<Pid> {
        match self {
            Self::Child(child) => child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw),
            Self::Adopted(pid) => Some(*pid),
        }
    }

    /// Returns when the process is gone. A process that is not our child has no event to wait for, so it is looked at
    /// once a second, as the relist looks at pods.
    async fn ended(&mut self) {
        match self {
            Self::Child(child) => {
                if let Err(error) = child.wait().await {
                    warn!(%error, "cannot wait for containerd");
                }
            }
            Self::Adopted(pid) => {
                let mut tick = tokio::time::interval(limits::RELIST);
                while is_containerd(*pid, None) {
                    tick.tick().await;
                }
            }
        }
    }
}

/// Folders and configuration. Answers the snapshotter.
fn prepare(config: &Config) -> Result<&'static str, Error> {
    for path in [&config.folder, &config.cni_conf_dir, &config.images_dir] {
        std::fs::create_dir_all(path).map_err(|source| Error::Prepare { path: path.clone(), source })?;
    }
    let snapshotter = if overlay_works(&config.folder) { "overlayfs" } else { "native" };
    let path = config.config_file();
    let text = configuration(config, snapshotter, !cgroup::Hierarchy::detect().is_writable());
    std::fs::write(&path, text).map_err(|source| Error::Prepare { path, source })?;
    Ok(snapshotter)
}

/// Debian puts the plugins into /usr/lib/cni, others into /opt/cni/bin.
pub fn cni_bin_dir() -> &'static str {
    if Path::new("/usr/lib/cni/bridge").exists() { "/usr/lib/cni" } else { "/opt/cni/bin" }
}

/// Mounting is the only sure test: overlayfs refuses some file systems below it.
fn overlay_works(folder: &Path) -> bool {
    let probe = folder.join("overlay-probe");
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| probe.join(name));
    let made = [&lower, &upper, &work, &merged].iter().all(|path| std::fs::create_dir_all(path).is_ok());
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let mounted = made
        && nix::mount::mount(
            Some("overlay"),
            &merged,
            Some("overlay"),
            nix::mount::MsFlags::empty(),
            Some(options.as_str()),
        )
        .is_ok();
    if mounted {
        nix::mount::umount(&merged).ok();
    }
    std::fs::remove_dir_all(&probe).ok();
    mounted
}

/// Plugins of containerd that the CRI service does not use: other snapshotters want their own kernel modules and
/// only fill the log, and the restart monitor would compete with us.
const DISABLED_PLUGINS: [&str; 7] = [
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.tracing",
];

fn configuration(config: &Config, snapshotter: &str, without_cgroups: bool) -> String {
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let disabled = DISABLED_PLUGINS.map(|plugin| format!("{plugin:?}")).join(", ");
    format!(
        r#"# Written by balsa at every start.
version = 2
root = {root}
state = {state}
disabled_plugins = [{disabled}]
[grpc]
  address = {socket}
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  disable_cgroup = {without_cgroups}
  sandbox_image = "{PAUSE_IMAGE}"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_bin}"
    conf_dir = {cni_conf}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#,
        root = quoted(&config.folder.join("root")),
        state = quoted(&config.folder.join("state")),
        socket = quoted(&config.socket()),
        cni_bin = cni_bin_dir(),
        cni_conf = quoted(&config.cni_conf_dir),
    )
}

async fn adopt(config: &Config) -> Option<Pid> {
    let text = std::fs::read_to_string(config.pid_file()).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?);
    if !is_containerd(pid, Some(&config.config_file())) {
        return None;
    }
    let deadline = Instant::now() + limits::CONTAINERD_READY;
    while is_containerd(pid, None) && Instant::now() < deadline {
        if answers(config).await {
            return Some(pid);
        }
        tokio::time::sleep(POLL).await;
    }
    None
}

/// Guards against a pid that was given to another process since.
fn is_containerd(pid: Pid, config_file: Option<&Path>) -> bool {
    let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let mut words = command.split(|byte| *byte == 0);
    let is_program = words.next().is_some_and(|word| word.ends_with(PROGRAM.as_bytes()));
    is_program && config_file.is_none_or(|path| words.any(|word| word == path.as_os_str().as_encoded_bytes()))
}

/// The time between looks at a socket that is about to appear.
const POLL: Duration = Duration::from_millis(10);

async fn spawn(config: &Config) -> Result<Child, Error> {
    let log = log_file(config)?;
    let errors = log.try_clone().map_err(|source| Error::Prepare { path: config.log_file(), source })?;
    let mut command = Command::new(PROGRAM);
    command.arg("--config").arg(config.config_file());
    command.stdin(Stdio::null()).stdout(Stdio::from(log)).stderr(Stdio::from(errors));
    let mut child = command.process_group(0).spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NotInstalled { program: PROGRAM.to_owned() },
        _ => Error::Spawn { program: PROGRAM.to_owned(), source },
    })?;
    let pid = child.id().unwrap_or_default();
    let path = config.pid_file();
    std::fs::write(&path, pid.to_string()).map_err(|source| Error::Prepare { path, source })?;
    let deadline = Instant::now() + limits::CONTAINERD_READY;
    while !answers(config).await {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(Error::Ended { status, log: config.log_file() });
        }
        if Instant::now() > deadline {
            return Err(Error::NotReady { log: config.log_file() });
        }
        tokio::time::sleep(POLL).await;
    }
    info!(pid, socket = %config.socket().display(), "containerd answers");
    Ok(child)
}

async fn answers(config: &Config) -> bool {
    config.socket().exists() && Cri::new(&config.socket()).version().await.is_ok()
}

fn log_file(config: &Config) -> Result<File, Error> {
    let path = config.log_file();
    let is_large = std::fs::metadata(&path).is_ok_and(|meta| meta.len() > limits::CONTAINERD_LOG_BYTES);
    if is_large {
        std::fs::rename(&path, path.with_extension("log.old")).ok();
    }
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    opened.map_err(|source| Error::Prepare { path, source })
}
