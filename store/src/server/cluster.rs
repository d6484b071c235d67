//! `etcdserverpb.Cluster`: who belongs to the cluster. Changing the membership is not supported yet.

use balsa_proto::etcd::etcdserverpb::cluster_server::Cluster;
use balsa_proto::etcd::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest,
    MemberUpdateResponse,
};
use tonic::{Request, Response, Status};

use super::Shared;
use crate::status::Identity;

pub struct ClusterService {
    identity: Identity,
}

impl ClusterService {
    pub fn new(shared: &Shared) -> Self {
        ClusterService { identity: shared.identity.clone() }
    }

    /// A member's name and client URLs are known once it has served for the first time.
    fn members(&self) -> Vec<Member> {
        let attributes = self.identity.mvcc.members();
        let members = self.identity.consensus.members();
        let member = |view: &crate::consensus::MemberView| {
            let said = attributes.get(&view.id);
            Member {
                id: view.id,
                name: said.map_or_else(String::new, |said| said.name.clone()),
                peer_ur_ls: view.node.peer_urls.clone(),
                client_ur_ls: said.map_or_else(Vec::new, |said| said.client_urls.clone()),
                is_learner: view.is_learner,
            }
        };
        members.iter().map(member).collect()
    }
}

fn unsupported<T>(what: &str) -> Result<Response<T>, Status> {
    Err(Status::unimplemented(format!("{what} is not implemented")))
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        if request.into_inner().linearizable {
            self.identity.consensus.read_barrier().await?;
        }
        let header = Some(self.identity.header_without_revision());
        Ok(Response::new(MemberListResponse { header, members: self.members() }))
    }

    async fn member_add(&self, _: Request<MemberAddRequest>) -> Result<Response<MemberAddResponse>, Status> {
        unsupported("MemberAdd")
    }

    async fn member_remove(
        &self,
        _: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        unsupported("MemberRemove")
    }

    async fn member_update(
        &self,
        _: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        unsupported("MemberUpdate")
    }

    async fn member_promote(
        &self,
        _: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        unsupported("MemberPromote")
    }
}
