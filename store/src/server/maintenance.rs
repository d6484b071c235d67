//! `etcdserverpb.Maintenance`: status, alarms, and handing over leadership.

use balsa_proto::etcd::etcdserverpb::alarm_request::AlarmAction;
use balsa_proto::etcd::etcdserverpb::downgrade_request::DowngradeAction;
use balsa_proto::etcd::etcdserverpb::maintenance_server::Maintenance;
use balsa_proto::etcd::etcdserverpb::{
    AlarmRequest, AlarmResponse, DefragmentRequest, DefragmentResponse, DowngradeRequest, DowngradeResponse,
    HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse,
    SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::Shared;
use crate::error::Error;
use crate::status::Identity;

pub struct MaintenanceService {
    identity: Identity,
}

impl MaintenanceService {
    pub fn new(shared: &Shared) -> Self {
        MaintenanceService { identity: shared.identity.clone() }
    }
}

/// `3.5` or `3.5.0`, as etcd takes it.
fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    (2..=3).contains(&parts.len()) && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

fn unsupported<T>(what: &str) -> Result<Response<T>, Status> {
    Err(Status::unimplemented(format!("{what} is not implemented")))
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    type SnapshotStream = BoxStream<'static, Result<SnapshotResponse, Status>>;

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(self.identity.status()))
    }

    /// No alarm is ever raised yet, so that the list is empty.
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        match request.into_inner().action() {
            AlarmAction::Get => {
                Ok(Response::new(AlarmResponse { header: Some(self.identity.header()), alarms: Vec::new() }))
            }
            AlarmAction::Activate | AlarmAction::Deactivate => unsupported("changing alarms"),
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
        unsupported("Defragment")
    }

    async fn hash(&self, _: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        unsupported("Hash")
    }

    async fn hash_kv(&self, _: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        unsupported("HashKV")
    }

    async fn snapshot(&self, _: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        unsupported("Snapshot")
    }

    /// The storage has one version, which no older release reads: nothing can be downgraded to, and no job ever runs.
    async fn downgrade(
        &self,
        request: Request<DowngradeRequest>,
    ) -> Result<Response<DowngradeResponse>, Status> {
        let request = request.into_inner();
        match request.action() {
            DowngradeAction::Validate | DowngradeAction::Enable if !is_version(&request.version) => {
                Err(Error::WrongDowngradeVersionFormat.into())
            }
            DowngradeAction::Validate | DowngradeAction::Enable => {
                Err(Error::InvalidDowngradeTargetVersion.into())
            }
            DowngradeAction::Cancel => Err(Error::NoInflightDowngrade.into()),
        }
    }
}
