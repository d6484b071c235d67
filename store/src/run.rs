//! Starts a member, serves until it is told to stop, and stops it in order.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use balsa_proto::store::command::Op;
use balsa_proto::store::peer_server::PeerServer;
use balsa_proto::store::{MemberAttributes, MemberRecord};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tower::Layer;

use crate::apply::{Applier, ApplyOptions};
use crate::auth::jwt::JwtError;
use crate::auth::{Caller, SimpleTokens, Tokens};
use crate::backend::RocksBackend;
use crate::config::{self, Config, Url};
use crate::consensus::log_store::{self, LogStore};
use crate::consensus::peers::StampCheck;
use crate::consensus::raft_thread::RaftThread;
use crate::consensus::snapshot::SnapshotRoot;
use crate::consensus::start::{Settings, Started, Tasks};
use crate::consensus::wal;
use crate::consensus::{self, ConsensusHandle, InitialMembers, MemberNode};
use crate::http::{Doors, GatewayLimits, NoGrpc, Pages, Port, Visitors};
use crate::limits::{ADVISED_QUOTA_BYTES, GRPC_OVERHEAD_BYTES, MAX_PEER_MESSAGE_BYTES};
use crate::membership::join::{self, JoinError};
use crate::membership::{LeaderMembers, Rules, Steward, id_file};
use crate::metrics::Metrics;
use crate::mvcc::Mvcc;
use crate::server::auto_compaction;
use crate::server::connect::Connector;
use crate::server::corruption::{CorruptionChecker, Inconsistent};
use crate::server::defragment::Defragmenter;
use crate::server::door::Door;
use crate::server::gate::Gate;
use crate::server::learner::LearnerGuard;
use crate::server::lease::LeaderLeases;
use crate::server::lease_expiry::LeaseExpiry;
use crate::server::need_leader::NeedLeader;
use crate::server::observe::Observe;
use crate::server::ports::{PortError, Ports};
use crate::server::quota::Quota;
use crate::server::rpc_stats::RpcStats;
use crate::server::tls::{self, TlsError};
use crate::server::{self, Shared};
use crate::status::Identity;

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
    let member = Member::start(&config, ids, &raft_thread).await?;
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

fn connector(config: &Config) -> Result<Connector, StartError> {
    Ok(Connector { tls: tls::connector_config(&config.peer_tls, &config.tls)? })
}

/// Cluster id and member id: from the data directory, or worked out and written there on the first start. Before the ports
/// are bound, so that members which start together do not wait for one another's pages.
async fn identify(config: &Config) -> Result<(u64, u64), StartError> {
    let dir = config.data_dir.join("member");
    let unusable = |source| StartError::DataDir { path: dir.clone(), source };
    make_private_dir(&dir).map_err(unusable)?;
    if let Some(ids) = id_file::read(&dir).map_err(unusable)? {
        return Ok(ids);
    }
    let ids = if dir.join("wal").exists() {
        // A restored snapshot: it was made for what the flags say, and the log checks that.
        (config.cluster_id(), config.own_id())
    } else {
        join::place(config, &connector(config)?).await?
    };
    id_file::write(&dir, ids).map_err(unusable)?;
    Ok(ids)
}

/// A member whose parts run. The core outlives the client ports, so that what is under way can end well.
struct Member {
    started: Started,
    shared: Shared,
    metrics: Arc<Metrics>,
    visitors: Arc<Visitors>,
    rpc_stats: RpcStats,
    tracker: TaskTracker,
    /// Counts open databases. RocksDB must be closed before the process ends: its own threads do not survive that.
    databases: TaskTracker,
    /// Stops the core.
    core: CancellationToken,
    /// Ends the streams of clients.
    clients: CancellationToken,
    /// Cancelled once this member has no place in the cluster any more.
    removed: CancellationToken,
}

impl Member {
    async fn start(
        config: &Config,
        (cluster_id, member_id): (u64, u64),
        raft_thread: &RaftThread,
    ) -> Result<Member, StartError> {
        let dir = config.data_dir.join("member");
        let metrics = Arc::new(Metrics::new());
        let databases = TaskTracker::new();
        // The log is made before the state, so that only a loss leaves a state without one.
        if dir.join("state").exists() && !dir.join("wal").exists() {
            return Err(StartError::LogMissing { path: dir });
        }
        let mut log = open_log(&dir, (cluster_id, member_id), &metrics, databases.token())?;
        let pristine = log.is_pristine();
        let backend = Arc::new(RocksBackend::open(&dir.join("state"), Some(databases.token()))?);
        let (mut applier, mvcc, hub, lessor) =
            Applier::open(backend, apply_options(config.election_timeout))?;
        let simple_tokens = SimpleTokens::new(config.access.token_ttl);
        applier.set_tokens(simple_tokens.clone());
        let snapshots = SnapshotRoot::open(dir.join("snap"))
            .map_err(|source| StartError::DataDir { path: dir.clone(), source })?;

        if config.force_new_cluster && !pristine {
            let member = sole_member(config, member_id, &mvcc);
            consensus::sole_member::append(&mut log, member).await.map_err(StartError::ForceNewCluster)?;
        }

        let (tracker, core, clients) =
            (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let removed = CancellationToken::new();
        let tasks = Tasks { tracker: tracker.clone(), shutdown: core.clone(), metrics: metrics.clone() };
        let settings = Settings {
            cluster_id,
            member_id,
            heartbeat_interval: config.heartbeat_interval,
            election_timeout: config.election_timeout,
            pre_vote: config.pre_vote,
            snapshot_count: config.snapshot_count,
            slow_apply: config.serving.slow_apply,
            catch_up_entries: config.serving.catch_up_entries,
            connector: connector(config)?,
            table: mvcc.watch_members(),
            removed: removed.clone(),
        };
        let starting =
            raft_thread.spawn(consensus::start::start(settings, log, applier, snapshots.clone(), tasks));
        let started = starting.await.map_err(|_| StartError::RaftStopped)??;
        if pristine && !config.joins_existing_cluster {
            consensus::start::bootstrap(&started, initial_members(config)).await?;
        }

        let consensus = started.consensus();
        let expiry = LeaseExpiry {
            consensus: consensus.clone(),
            lessor: lessor.clone(),
            election_timeout: config.election_timeout,
        };
        tracker.spawn(expiry.run(core.clone()));
        let steward = Steward {
            consensus: consensus.clone(),
            table: mvcc.watch_members(),
            election_timeout: config.election_timeout,
            removed: removed.clone(),
        };
        tracker.spawn(steward.run(core.clone()));
        let maintenance = &config.maintenance;
        let quota_bytes = maintenance.quota_bytes();
        if quota_bytes > ADVISED_QUOTA_BYTES {
            tracing::warn!(
                quota_bytes,
                advised_bytes = ADVISED_QUOTA_BYTES,
                "the quota is above the advised maximum"
            );
        }
        let identity = Identity { cluster_id, member_id, consensus, mvcc, quota_bytes };
        start_maintenance(maintenance, &identity, &tracker, &core);
        let rules = Rules { strict: config.strict_reconfig_check, max_learners: config.max_learners };
        let gate = Gate {
            identity: identity.clone(),
            lessor: lessor.clone(),
            tokens: Tokens::open(&config.access.tokens, simple_tokens)?,
            trust_certificates: config.client_tls.require_client_cert,
        };
        let shared = Shared {
            identity: identity.clone(),
            hub,
            leases: LeaderLeases { identity: identity.clone(), lessor },
            members: LeaderMembers { identity: identity.clone(), rules },
            snapshots: snapshots.clone(),
            quota: Quota::new(identity, u64::try_from(quota_bytes).ok()),
            defragmenter: Defragmenter::default(),
            gate,
            bcrypt_cost: config.access.bcrypt_cost,
            max_request_bytes: config.max_request_bytes,
            max_txn_ops: config.max_txn_ops,
            election_timeout: config.election_timeout,
            watch_progress_interval: config.serving.watch_progress_interval,
            shutdown: clients.clone(),
        };
        let visitors = Arc::new(Visitors::new(&config.serving));
        let rpc_stats = RpcStats::new(&config.serving);
        Ok(Member {
            started,
            shared,
            metrics,
            visitors,
            rpc_stats,
            tracker,
            databases,
            core,
            clients,
            removed,
        })
    }

    fn consensus(&self) -> &ConsensusHandle {
        &self.shared.identity.consensus
    }

    fn peer_routes(&self) -> Routes {
        let Identity { cluster_id, member_id, consensus, mvcc, .. } = self.shared.identity.clone();
        let service = self.started.peer_service(self.shared.leases.clone(), self.shared.members.clone());
        let server = PeerServer::new(service)
            .max_decoding_message_size(MAX_PEER_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_PEER_MESSAGE_BYTES);
        let check = StampCheck { cluster_id, member_id, table: mvcc.watch_members(), consensus };
        Routes::new(InterceptedService::new(server, check))
    }

    /// What must answer before the member serves clients: the other members need this one, and whoever looks at a member
    /// that does not get on must see why.
    fn serve_early(&self, ports: &mut Ports, raft_thread: &RaftThread) -> Vec<JoinHandle<()>> {
        let for_peers = Doors::new(self.peer_routes(), self.pages(Port::Peer));
        let for_metrics = Doors::new(NoGrpc, self.pages(Port::Metrics));
        let peers = std::mem::take(&mut ports.peers)
            .into_iter()
            .map(|listener| raft_thread.spawn(listener.serve(for_peers.clone(), self.core.clone())));
        let metrics = std::mem::take(&mut ports.metrics)
            .into_iter()
            .map(|listener| tokio::spawn(listener.serve(for_metrics.clone(), self.core.clone())));
        peers.chain(metrics).collect()
    }

    /// JSON for clients, where plain HTTP is served to them.
    fn with_gateway<G>(&self, config: &Config, doors: Doors<G>) -> Doors<G> {
        if !config.serving.gateway {
            return doors;
        }
        doors.with_gateway(GatewayLimits { max_body_bytes: json_bytes(config.max_request_bytes) })
    }

    fn pages(&self, port: Port) -> Arc<Pages> {
        let (identity, metrics) = (self.shared.identity.clone(), self.metrics.clone());
        Arc::new(Pages {
            port,
            identity,
            metrics,
            visitors: self.visitors.clone(),
            rpc_stats: self.rpc_stats.clone(),
        })
    }

    /// Serves clients once the member has found its place in the cluster, until `shutdown`.
    async fn serve(
        &self,
        config: &Config,
        ports: Ports,
        ready: oneshot::Sender<()>,
        shutdown: &CancellationToken,
    ) -> Result<(), StartError> {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = self.consensus().stopped().cancelled() => return Err(StartError::RaftStopped),
            () = self.removed.cancelled() => {
                say_removed();
                return Ok(());
            }
            () = self.publish(config) => {}
        }
        if config.maintenance.initial_corrupt_check {
            CorruptionChecker { identity: self.shared.identity.clone() }.initial().await?;
        }
        let routes =
            LearnerGuard { identity: self.shared.identity.clone() }.layer(server::routes(&self.shared));
        let guard = NeedLeader { consensus: self.consensus().clone() };
        let port = if ports.http.is_empty() { Port::Client } else { Port::Grpc };
        let observe = Observe { stats: self.rpc_stats.clone() };
        let door = Door { gate: self.shared.gate.clone() };
        let services = observe.layer(guard.layer(door.layer(routes)));
        let service = self.with_gateway(config, Doors::new(services.clone(), self.pages(port)));
        let clients = ports.clients.into_iter();
        let mut serving: Vec<_> = clients
            .map(|listener| tokio::spawn(listener.serve(service.clone(), self.clients.clone())))
            .collect();
        let pages = Doors::new(services, self.pages(Port::Client)).without_grpc();
        let pages = self.with_gateway(config, pages);
        let http = ports.http.into_iter();
        serving
            .extend(http.map(|listener| tokio::spawn(listener.serve(pages.clone(), self.clients.clone()))));
        announce(config);
        // Whoever started the member may not care.
        let _ = ready.send(());

        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            () = self.consensus().stopped().cancelled() => Err(StartError::RaftStopped),
            () = self.removed.cancelled() => {
                say_removed();
                Ok(())
            }
        };
        self.clients.cancel();
        for listener in serving {
            // A listener task ends with the token and cannot fail otherwise.
            drop(listener.await);
        }
        outcome
    }

    /// Tells the cluster this member's name and client URLs. That it succeeds also shows that there is a majority.
    async fn publish(&self, config: &Config) {
        let attributes = MemberAttributes {
            member_id: self.shared.identity.member_id,
            name: config.name.clone(),
            client_urls: config.advertise_client_urls.iter().map(ToString::to_string).collect(),
        };
        while let Err(error) =
            self.consensus().propose(Caller::Server, Op::MemberAttributes(attributes.clone())).await
        {
            tracing::info!(%error, "the member waits for its cluster");
            tokio::time::sleep(config.heartbeat_interval).await;
        }
    }

    async fn stop(self, config: &Config) {
        self.consensus().step_aside(config.election_timeout).await;
        self.consensus().shutdown().await;
        self.core.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Starts what looks after the state by itself.
fn start_maintenance(
    config: &config::Maintenance,
    identity: &Identity,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) {
    let checker = || CorruptionChecker { identity: identity.clone() };
    if let Some(retention) = config.auto_compaction {
        tracker.spawn(auto_compaction::run(identity.clone(), retention, stop.clone()));
    }
    if let Some(interval) = config.corrupt_check_interval {
        tracker.spawn(checker().run_periodic(interval, stop.clone()));
    }
    if let Some(interval) = config.compact_hash_check_interval {
        identity.mvcc.compaction_hashes().keep();
        tracker.spawn(checker().run_compactions(interval, stop.clone()));
    }
}

fn open_log(
    dir: &Path,
    identity: (u64, u64),
    metrics: &Metrics,
    open: TaskTrackerToken,
) -> Result<LogStore, StartError> {
    let opened = LogStore::open(&dir.join("wal"), identity, metrics.log_fsync_seconds.clone(), Some(open));
    opened.map_err(|error| match error {
        log_store::OpenError::Wal(wal::OpenError::InUse { .. }) => {
            StartError::DataDirInUse { path: dir.to_owned() }
        }
        other => other.into(),
    })
}

/// Base64 makes four bytes of three; names and other fields come on top.
fn json_bytes(max_request_bytes: usize) -> usize {
    (max_request_bytes / 3).saturating_mul(4).saturating_add(GRPC_OVERHEAD_BYTES)
}

/// The shortest lease outlives an election: one and a half election timeouts, in whole seconds.
fn apply_options(election_timeout: Duration) -> ApplyOptions {
    let millis = i64::try_from(election_timeout.as_millis()).unwrap_or(i64::MAX / 2);
    ApplyOptions { min_lease_ttl_seconds: (millis * 3 / 2 + 999) / 1000 }
}

fn initial_members(config: &Config) -> InitialMembers {
    let node = |name: &String, urls: &Vec<Url>| MemberNode {
        name: name.clone(),
        peer_urls: urls.iter().map(ToString::to_string).collect(),
    };
    config.initial_cluster.iter().map(|(name, urls)| (config.member_id(name), node(name, urls))).collect()
}

/// This member as the table knows it, or as the flags do.
fn sole_member(config: &Config, member_id: u64, mvcc: &Mvcc) -> MemberRecord {
    let by_flags = || MemberRecord {
        member_id,
        name: config.name.clone(),
        peer_urls: config.initial_advertise_peer_urls.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    mvcc.members().get(member_id).cloned().unwrap_or_else(by_flags)
}

/// Not an error: a supervisor that restarts what failed must not do so.
fn say_removed() {
    tracing::warn!(
        "the member has been permanently removed from the cluster; its data directory must be removed before the \
         machine can join again as a new member"
    );
}

/// Readable by its owner alone: it holds every secret of a Kubernetes cluster.
fn make_private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Stock test harnesses wait for this very line on stderr, whatever the log level.
fn announce(config: &Config) {
    let urls: Vec<String> = config.listen_client_urls.iter().map(ToString::to_string).collect();
    let line = serde_json::json!({
        "level": "info", "msg": "ready to serve client requests", "name": config.name, "client-urls": urls,
    });
    eprintln!("{line}");
}
