//! Runs a member: finds out who it is, starts it, serves until it is told to stop, and stops it in order.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::auth::jwt::JwtError;
use crate::config::Config;
use crate::consensus;
use crate::consensus::log_store;
use crate::consensus::raft_thread::RaftThread;
use crate::member::{Ground, Member};
use crate::membership::id_file;
use crate::membership::join::{self, JoinError};
use crate::server::connect::Connector;
use crate::server::corruption::Inconsistent;
use crate::server::ports::{PortError, Ports};
use crate::server::tls::{self, TlsError};

/// Why a member does not start, or cannot go on. One sentence each, with the cause behind it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Ports(#[from] PortError),
    #[error("--auth-token is not usable")]
    AuthToken(#[from] JwtError),
    #[error("TLS is not usable")]
    Tls(#[from] TlsError),
    #[error("the data directory {path} is not usable")]
    DataDir { path: PathBuf, source: io::Error },
    #[error("the data directory {path} is in use by another process")]
    DataDirInUse { path: PathBuf },
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error("the log does not take the entries of --force-new-cluster")]
    ForceNewCluster(#[source] io::Error),
    #[error(transparent)]
    Log(#[from] log_store::OpenError),
    #[error(
        "the data directory {path} holds a state but no raft log: bring the folder wal back, or replace this member"
    )]
    LogMissing { path: PathBuf },
    #[error(
        "the data directory {path} is of a member that has run before, and its raft log and state are gone: bring the folders wal and state back, or remove this member from the cluster and add it again with an empty data directory"
    )]
    EverythingMissing { path: PathBuf },
    #[error(transparent)]
    Backend(#[from] crate::backend::BackendError),
    #[error(transparent)]
    State(#[from] crate::apply::OpenError),
    #[error(transparent)]
    Consensus(#[from] consensus::start::StartError),
    #[error("the thread of raft does not start")]
    RaftThread(#[source] io::Error),
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
    #[error("raft stopped: the log or the state could not be written")]
    RaftStopped,
}

/// How long the last readers may keep a database open after the stop.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a member until `shutdown`. `ready` fires once it serves clients.
pub async fn run(
    config: Config,
    ready: oneshot::Sender<()>,
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    let config = with_certificates(config)?;
    let ids = identify(&config).await?;
    let raft_thread = RaftThread::start().map_err(StartError::RaftThread)?;
    let mut ports = Ports::bind(&config).await?;
    let member = Member::start(&config, ids, Ground::machine(&config)?, &raft_thread).await?;
    mark_started(&config, ids)?;
    let early = member.serve_early(&mut ports, &raft_thread);
    let outcome = member.serve(&config, ports, ready, &shutdown).await;
    let databases = member.databases.clone();
    member.stop(&config).await;
    for port in early {
        // A listener task ends with the token and cannot fail otherwise.
        drop(port.await);
    }
    drop(raft_thread);
    databases.close();
    if tokio::time::timeout(CLOSE_TIMEOUT, databases.wait()).await.is_err() {
        tracing::warn!("a database was still in use when the member stopped");
    }
    outcome
}

/// With `--auto-tls` and `--peer-auto-tls`, what they ask for.
fn with_certificates(mut config: Config) -> Result<Config, StartError> {
    let fixtures = config.data_dir.join("fixtures");
    config.client_tls =
        tls::complete(&config.client_tls, &fixtures.join("client"), &config.listen_client_urls)?;
    config.peer_tls = tls::complete(&config.peer_tls, &fixtures.join("peer"), &config.listen_peer_urls)?;
    Ok(config)
}

pub(crate) fn connector(config: &Config) -> Result<Connector, StartError> {
    Ok(Connector { tls: tls::connector_config(&config.peer_tls, &config.tls)? })
}

/// Cluster id and member id: from the data directory, or worked out and written there on the first start. Before the ports
/// are bound, so that members which start together do not wait for one another's pages.
async fn identify(config: &Config) -> Result<(u64, u64), StartError> {
    let dir = config.data_dir.join("member");
    let unusable = |source| StartError::DataDir { path: dir.clone(), source };
    make_private_dir(&dir).map_err(unusable)?;
    if let Some(found) = id_file::read(&dir).map_err(unusable)? {
        let is_empty = !dir.join("wal").exists() && !dir.join("state").exists();
        if found.has_started && is_empty {
            return Err(StartError::EverythingMissing { path: dir });
        }
        return Ok(found.ids);
    }
    let ids = if dir.join("wal").exists() {
        // The file is gone, and the log is not: it checks what the flags say.
        (config.cluster_id(), config.own_id())
    } else {
        join::place(config, &connector(config)?).await?
    };
    id_file::write(&dir, ids).map_err(unusable)?;
    Ok(ids)
}

/// Now that there is a log, its loss is to be noticed.
fn mark_started(config: &Config, ids: (u64, u64)) -> Result<(), StartError> {
    let dir = config.data_dir.join("member");
    id_file::mark_started(&dir, ids).map_err(|source| StartError::DataDir { path: dir, source })
}

/// Readable by its owner alone: it holds every secret of a Kubernetes cluster.
fn make_private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // A folder is there after a power cut once the one that it is in was synced.
    for parent in missing.iter().filter_map(|dir| dir.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}
