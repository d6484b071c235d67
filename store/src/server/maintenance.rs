//! `etcdserverpb.Maintenance`: status, alarms, hashes, snapshots, and handing over leadership.

use std::time::Instant;

use balsa_proto::etcd::etcdserverpb::alarm_request::AlarmAction;
use balsa_proto::etcd::etcdserverpb::downgrade_request::DowngradeAction;
use balsa_proto::etcd::etcdserverpb::maintenance_server::Maintenance;
use balsa_proto::etcd::etcdserverpb::{
    AlarmRequest, AlarmResponse, DefragmentRequest, DefragmentResponse, DowngradeRequest, DowngradeResponse,
    HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse,
    SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};
use balsa_proto::store::command::Op;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::credentials::Credentials;
use super::defragment::Defragmenter;
use super::gate::Gate;
use super::{Shared, hash, snapshot};
use crate::apply::Reply;
use crate::consensus::snapshot::SnapshotRoot;
use crate::error::Error;
use crate::host;
use crate::status::{CLUSTER_VERSION, Identity};

pub struct MaintenanceService {
    identity: Identity,
    gate: Gate,
    snapshots: SnapshotRoot,
    defragmenter: Defragmenter,
    shutdown: CancellationToken,
}

impl MaintenanceService {
    pub fn new(shared: &Shared) -> Self {
        let Shared { identity, gate, snapshots, defragmenter, shutdown, .. } = shared;
        MaintenanceService {
            identity: identity.clone(),
            gate: gate.clone(),
            snapshots: snapshots.clone(),
            defragmenter: defragmenter.clone(),
            shutdown: shutdown.clone(),
        }
    }
}

/// `3.5` or `3.5.0`, as etcd takes it.
fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    (2..=3).contains(&parts.len()) && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    type SnapshotStream = BoxStream<'static, Result<SnapshotResponse, Status>>;

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(self.identity.status()))
    }

    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        let Identity { consensus, mvcc, .. } = &self.identity;
        if request.action() == AlarmAction::Get {
            consensus.read_barrier().await?;
            let alarms = mvcc.alarms().of(request.alarm());
            return Ok(Response::new(AlarmResponse { header: Some(self.identity.header()), alarms }));
        }
        match self.gate.propose(&credentials, Op::Alarm(request)).await? {
            Reply::Alarm(mut response) => {
                self.identity.fill(&mut response.header);
                Ok(Response::new(response))
            }
            other => panic!("apply answered a command with {other:?}"),
        }
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        self.identity.consensus.transfer_leader(request.into_inner().target_id).await?;
        Ok(Response::new(MoveLeaderResponse { header: Some(self.identity.header()) }))
    }

    async fn defragment(
        &self,
        _: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        self.defragmenter.run(&self.identity).await?;
        Ok(Response::new(DefragmentResponse { header: Some(self.identity.header()) }))
    }

    async fn hash(&self, _: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        let mvcc = self.identity.mvcc.clone();
        let began = Instant::now();
        let hash = host::spawn_blocking(move || mvcc.hash_all()).await;
        let hash = hash.unwrap_or(Err(Error::Stopped))?;
        self.identity.consensus.metrics().hash_seconds.observe(began.elapsed().as_secs_f64());
        Ok(Response::new(HashResponse { header: Some(self.identity.header()), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        Ok(Response::new(hash::answer(&self.identity, request.into_inner().revision).await?))
    }

    async fn snapshot(&self, _: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        let snapshots =
            snapshot::stream(self.identity.clone(), self.snapshots.clone(), self.shutdown.clone());
        Ok(Response::new(Box::pin(snapshots)))
    }

    /// The storage has one version, which no older release reads: nothing can be downgraded to, no job ever runs, and none
    /// needs to be stopped (which stock 3.6.5 says of a cluster without a job, too).
    async fn downgrade(
        &self,
        request: Request<DowngradeRequest>,
    ) -> Result<Response<DowngradeResponse>, Status> {
        let request = request.into_inner();
        let action = DowngradeAction::try_from(request.action);
        match action.map_err(|_| Status::unknown("etcdserver: unknown method"))? {
            DowngradeAction::Validate | DowngradeAction::Enable if !is_version(&request.version) => {
                Err(Error::WrongDowngradeVersionFormat.into())
            }
            DowngradeAction::Validate | DowngradeAction::Enable => {
                Err(Error::InvalidDowngradeTargetVersion.into())
            }
            DowngradeAction::Cancel => {
                let version = CLUSTER_VERSION.trim_end_matches(".0").to_owned();
                Ok(Response::new(DowngradeResponse { header: Some(self.identity.header()), version }))
            }
        }
    }
}
