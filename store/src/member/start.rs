//! Puts a member together, from its disk outwards: log and state, raft, what looks after them, what requests need.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use balsa_proto::store::MemberRecord;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Member;
use crate::apply::{Applier, ApplyOptions};
use crate::auth::{SimpleTokens, Tokens};
use crate::backend::{Backend, BackendError, RocksBackend};
use crate::config::{self, Config, Url};
use crate::consensus::log_store::{self, LogStore};
use crate::consensus::peers::Dialer;
use crate::consensus::raft_thread::RaftThread;
use crate::consensus::snapshot::SnapshotRoot;
use crate::consensus::start::{Settings, Tasks};
use crate::consensus::wal::{Disk, HostDisk};
use crate::consensus::{self, InitialMembers, MemberNode, wal};
use crate::http::Visitors;
use crate::limits::ADVISED_QUOTA_BYTES;
use crate::membership::probe::Probe;
use crate::membership::{LeaderMembers, Rules, Steward};
use crate::metrics::Metrics;
use crate::mvcc::Mvcc;
use crate::run::{StartError, connector};
use crate::server::Shared;
use crate::server::auto_compaction;
use crate::server::corruption::CorruptionChecker;
use crate::server::defragment::Defragmenter;
use crate::server::gate::Gate;
use crate::server::lease::LeaderLeases;
use crate::server::lease_expiry::LeaseExpiry;
use crate::server::quota::Quota;
use crate::server::rpc_stats::RpcStats;
use crate::status::Identity;

/// Opens the state; the token counts how long it is open.
pub type OpenState = Box<dyn FnOnce(TaskTrackerToken) -> Result<Arc<dyn Backend>, BackendError> + Send>;

/// What a member stands on, besides its flags. A simulator brings a disk, a state and a network of its own.
pub struct Ground {
    pub log_disk: Arc<dyn Disk>,
    pub dialer: Dialer,
    /// Opens the state. Called once the log is there: only a loss leaves a state without one.
    pub open_state: OpenState,
}

impl Ground {
    /// This machine, with the data directory that `config` names.
    pub fn machine(config: &Config) -> Result<Ground, StartError> {
        let dir = member_dir(config);
        if dir.join("state").exists() && !dir.join("wal").exists() {
            return Err(StartError::LogMissing { path: dir });
        }
        Ok(Ground {
            log_disk: Arc::new(HostDisk),
            dialer: Dialer::Machine(connector(config)?),
            open_state: Box::new(move |open| {
                Ok(Arc::new(RocksBackend::open(&dir.join("state"), Some(open))?))
            }),
        })
    }
}

impl Member {
    pub async fn start(
        config: &Config,
        (cluster_id, member_id): (u64, u64),
        ground: Ground,
        raft_thread: &RaftThread,
    ) -> Result<Member, StartError> {
        let Ground { log_disk, dialer, open_state } = ground;
        // A simulated network has no pages.
        let probed_by = match &dialer {
            Dialer::Machine(connector) => Some(connector.clone()),
            Dialer::Simulated(_) => None,
        };
        let dir = member_dir(config);
        let metrics = Arc::new(Metrics::new());
        let databases = TaskTracker::new();
        let mut log = open_log(log_disk, &dir, (cluster_id, member_id), &metrics, databases.token())?;
        let pristine = log.is_pristine();
        let backend = open_state(databases.token())?;
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
        let tasks = Tasks {
            tracker: tracker.clone(),
            shutdown: core.clone(),
            metrics: metrics.clone(),
            clients: Handle::current(),
        };
        let settings = Settings {
            cluster_id,
            member_id,
            heartbeat_interval: config.heartbeat_interval,
            election_timeout: config.election_timeout,
            pre_vote: config.pre_vote,
            snapshot_count: config.snapshot_count,
            slow_apply: config.serving.slow_apply,
            catch_up_entries: config.serving.catch_up_entries,
            dialer,
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
        if let Some(connector) = probed_by {
            let (table, metrics) = (mvcc.watch_members(), metrics.peers.clone());
            let probe = Probe { own_id: member_id, table, connector, metrics };
            tracker.spawn(probe.run(core.clone()));
        }
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

fn member_dir(config: &Config) -> PathBuf {
    config.data_dir.join("member")
}

fn open_log(
    disk: Arc<dyn Disk>,
    dir: &Path,
    identity: (u64, u64),
    metrics: &Metrics,
    open: TaskTrackerToken,
) -> Result<LogStore, StartError> {
    let opened = LogStore::open(disk, &dir.join("wal"), identity, metrics.log.clone(), Some(open));
    opened.map_err(|error| match error {
        log_store::OpenError::Wal(wal::OpenError::InUse { .. }) => {
            StartError::DataDirInUse { path: dir.to_owned() }
        }
        other => other.into(),
    })
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
