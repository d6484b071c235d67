//! Puts the parts of consensus together and starts their tasks.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use openraft::errors::{InitializeError, RaftError};
use openraft::storage::RaftLogStorage;
use openraft::{Config as RaftConfig, SnapshotPolicy};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hand_over::HandOver;
use super::leadership::{Herald, Silence};
use super::log_store::LogStore;
use super::peer_service::PeerService;
use super::peers::{Dialer, Peers};
use super::proposer::Proposer;
use super::raft::{Inner, Raft, RaftConsensus};
use super::read_index::ReadRounds;
use super::retention::Retention;
use super::snapshot::SnapshotRoot;
use super::state_machine::StateMachine;
use super::transport::Network;
use super::types::LogId;
use super::{ConsensusHandle, InitialMembers, Leadership, Routes, apply_thread};
use crate::apply::Applier;
use crate::host::watch;
use crate::limits;
use crate::membership::{LeaderMembers, MemberTable};
use crate::metrics::Metrics;
use crate::server::lease::LeaderLeases;

/// What consensus needs to know of its surroundings.
pub struct Settings {
    pub cluster_id: u64,
    pub member_id: u64,
    pub heartbeat_interval: Duration,
    pub election_timeout: Duration,
    pub pre_vote: bool,
    /// Applied entries between two snapshots.
    pub snapshot_count: u64,
    /// An apply that takes longer is logged.
    pub slow_apply: Duration,
    /// Entries kept behind a snapshot for followers that lag.
    pub catch_up_entries: u64,
    /// To the other members.
    pub dialer: Dialer,
    /// The members as the applied state knows them.
    pub table: watch::Receiver<Arc<MemberTable>>,
    /// Cancelled when another member says that this one was removed.
    pub removed: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the timing is not usable: {0}")]
    Timing(String),
    #[error("the applied position in the state does not decode")]
    AppliedPosition(#[source] super::codec::DecodeError),
    #[error(
        "the raft log is missing although the state holds entries up to {applied}: restore the member from a snapshot, or remove it from the cluster and add it again with an empty data directory"
    )]
    LogMissing { applied: u64 },
    #[error(
        "a part of the state is missing: it holds entries up to {applied} and the raft log begins behind {purged}; remove the member from the cluster and add it again with an empty data directory, or restore it from a snapshot"
    )]
    StateMissing { applied: u64, purged: u64 },
    #[error("the raft log does not tell where it stands")]
    LogState(#[source] io::Error),
    #[error("the apply thread does not start")]
    Thread(#[source] io::Error),
    #[error("raft does not start: {0}")]
    Raft(String),
    #[error("the cluster does not form: {0}")]
    Bootstrap(String),
}

/// Consensus, running but without members yet: see [`bootstrap`].
pub struct Started {
    raft: RaftConsensus,
    snapshots: SnapshotRoot,
}

impl Started {
    pub fn consensus(&self) -> ConsensusHandle {
        Arc::new(self.raft.clone())
    }

    /// What the other members ask of this one.
    pub fn peer_service(&self, leases: LeaderLeases, members: LeaderMembers) -> PeerService {
        PeerService {
            raft: self.raft.inner.raft.clone(),
            consensus: self.raft.clone(),
            snapshots: self.snapshots.clone(),
            leases,
            members,
            metrics: self.raft.inner.metrics.clone(),
        }
    }
}

/// To be run on the [`super::raft_thread`]: every task of consensus is spawned where this runs, but for the two that gather
/// what clients want and tell all of them the outcome. Those live beside the clients, so that this wakes no other thread.
pub async fn start(
    settings: Settings,
    mut log: LogStore,
    applier: Applier,
    snapshots: SnapshotRoot,
    tasks: Tasks,
) -> Result<Started, StartError> {
    let Tasks { tracker, shutdown, metrics, clients } = &tasks;
    let config = raft_config(&settings).map_err(|error| StartError::Timing(error.to_string()))?;
    let own_id = settings.member_id;
    let peers = Peers::new(
        (settings.cluster_id, own_id),
        settings.table.clone(),
        settings.dialer.clone(),
        settings.election_timeout / 2,
        metrics.peers.clone(),
    );

    let state = apply_thread::applied_state(&applier).map_err(StartError::AppliedPosition)?;
    check_whole(&mut log, state.last_applied).await?;
    let writing = log.write_clock();
    let (applied_sender, applied) = watch::channel(state.last_applied.map_or(0, |log_id| log_id.index));
    let apply = apply_thread::spawn(applier, applied_sender).map_err(StartError::Thread)?;
    let state_machine = StateMachine::new(apply, state, snapshots.clone())
        .telling_slow(settings.slow_apply, metrics.slow_apply.clone());

    let network = Network {
        own_id,
        peers: peers.clone(),
        retry_interval: settings.heartbeat_interval,
        removed: settings.removed.clone(),
    };
    let log_index = log.index();
    let raft = Raft::new(own_id, Arc::new(config), network, log, state_machine)
        .await
        .map_err(|error| StartError::Raft(error.to_string()))?;
    lead_alone(&raft, own_id).await?;

    let (leadership_sender, leadership) = watch::channel(Leadership::default());
    let (members_sender, members) = watch::channel(Arc::default());
    let routes = Routes { peers, members };
    let stopped = CancellationToken::new();
    let request_timeout = limits::REQUEST_TIMEOUT_BASE + 2 * settings.election_timeout;
    let (proposals, proposal_inbox) = mpsc::channel(limits::MAX_PENDING_COMMANDS);
    let (readers, reader_inbox) = mpsc::channel(limits::MAX_PENDING_READS);

    let herald = Herald {
        raft: raft.clone(),
        leadership: leadership_sender,
        members: members_sender,
        metrics: metrics.clone(),
        hand_over: HandOver::new(raft.clone(), writing, settings.election_timeout),
        election_timeout: settings.election_timeout,
        silence: Silence::default(),
        stopped: stopped.clone(),
    };
    tracker.spawn(herald.run(shutdown.clone()));
    let retention = Retention {
        raft: raft.clone(),
        log: log_index,
        catch_up_entries: settings.catch_up_entries.min(settings.snapshot_count),
    };
    tracker.spawn(retention.run(shutdown.clone()));
    let proposer = Proposer {
        raft: raft.clone(),
        routes: routes.clone(),
        leadership: leadership.clone(),
        applied: applied.clone(),
        inbox: proposal_inbox,
        timeout: request_timeout,
        retry_interval: settings.heartbeat_interval / 2,
    };
    tracker.spawn_on(proposer.run(shutdown.clone()), clients);
    let rounds = ReadRounds {
        raft: raft.clone(),
        routes: routes.clone(),
        leadership: leadership.clone(),
        inbox: reader_inbox,
        timeout: request_timeout,
        retry_interval: settings.heartbeat_interval / 2,
    };
    tracker.spawn_on(rounds.run(shutdown.clone()), clients);

    let inner = Inner {
        raft: raft.clone(),
        routes,
        proposals,
        readers,
        leadership,
        applied,
        request_timeout,
        election_timeout: settings.election_timeout,
        next_request_id: AtomicU64::new(1),
        metrics: metrics.clone(),
        stopped,
    };
    Ok(Started { raft: RaftConsensus { inner: Arc::new(inner) }, snapshots })
}

/// The only voter need not wait for others to keep silent.
async fn lead_alone(raft: &Raft, own_id: u64) -> Result<(), StartError> {
    let stopped = |error: &dyn std::fmt::Display| StartError::Raft(error.to_string());
    let is_alone =
        raft.with_raft_state(move |state| state.membership_state.effective().voter_ids().eq([own_id]));
    if is_alone.await.map_err(|error| stopped(&error))? {
        raft.trigger().elect(false).await.map_err(|error| stopped(&error))?;
    }
    Ok(())
}

/// Log and state must meet: what was cut from the log is in the state, and a state does not come without its log.
async fn check_whole(log: &mut LogStore, applied: Option<LogId>) -> Result<(), StartError> {
    let state = log.get_log_state().await.map_err(StartError::LogState)?;
    let index = |log_id: Option<LogId>| log_id.map_or(0, |log_id| log_id.index);
    match (state.last_purged_log_id, applied) {
        (None, Some(applied)) if state.last_log_id.is_none() => {
            Err(StartError::LogMissing { applied: applied.index })
        }
        (Some(purged), applied) if applied < Some(purged) => {
            Err(StartError::StateMissing { applied: index(applied), purged: purged.index })
        }
        _ => Ok(()),
    }
}

/// Where tasks run, and what stops them.
pub struct Tasks {
    pub tracker: TaskTracker,
    pub shutdown: CancellationToken,
    pub metrics: Arc<Metrics>,
    /// Where clients are served.
    pub clients: Handle,
}

/// Writes the first membership into an empty log. Every member of a new cluster does this with the same members, so
/// that it does not matter who comes first. A lone member then leads at once.
pub async fn bootstrap(started: &Started, members: InitialMembers) -> Result<(), StartError> {
    let members: BTreeMap<_, _> = members.into_iter().collect();
    match started.raft.inner.raft.initialize(members).await {
        // A leader was faster, and its entries are here already.
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(StartError::Bootstrap(error.to_string())),
    }
}

/// A follower lets the old leader's lease run out, and then waits between a half and a whole lease more. With a lease of
/// two thirds it stands for election after one to one and a third election timeouts of silence: never earlier than in
/// etcd, and done with it well within one and a half.
fn raft_config(settings: &Settings) -> Result<RaftConfig, openraft::ConfigError> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let election_ms = ms(settings.election_timeout);
    let config = RaftConfig {
        cluster_name: format!("{:x}", settings.cluster_id),
        heartbeat_interval: ms(settings.heartbeat_interval),
        heartbeat_min_interval: Some(0),
        election_timeout_min: election_ms / 3,
        election_timeout_max: election_ms * 2 / 3,
        // The earliest that openraft allows: a lease and an election must fit in between.
        quorum_loss_probe_interval: Some(2 * election_ms),
        enable_pre_vote: Some(settings.pre_vote),
        install_snapshot_timeout: ms(limits::SNAPSHOT_TIMEOUT),
        max_payload_entries: limits::MAX_APPEND_ENTRIES,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.snapshot_count),
        // What goes is up to `retention`.
        max_in_snapshot_log_to_keep: u64::MAX,
        // Batches are made before raft sees them, so that waiting for more gains nothing: followers get an entry while
        // the leader's own disk is still at it.
        broadcast_submitted_on_append: Some(true),
        // Followers may hold entries that this member has lost with its power: in its old term it would write others under
        // the same log ids.
        enable_leader_restore: Some(false),
        ..RaftConfig::default()
    };
    config.validate()
}
