//! `etcdserverpb.Cluster`: who belongs to the cluster, and its changes.
//!
//! The leader judges and makes a change ([`LeaderMembers`]); another member passes it on.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::cluster_server::Cluster;
use balsa_proto::etcd::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest,
    MemberUpdateResponse, ResponseHeader,
};
use balsa_proto::store::MemberRecord;
use tonic::{Request, Response, Status};

use super::Shared;
use crate::config::parse_urls;
use crate::error::Error;
use crate::membership::{Change, LeaderMembers};
use crate::status::Identity;

pub struct ClusterService {
    identity: Identity,
    members: LeaderMembers,
    election_timeout: Duration,
}

impl ClusterService {
    pub fn new(shared: &Shared) -> Self {
        let Shared { identity, members, election_timeout, .. } = shared.clone();
        ClusterService { identity, members, election_timeout }
    }

    fn header(&self) -> Option<ResponseHeader> {
        Some(self.identity.header_without_revision())
    }

    /// Tries until the request timeout while it is certain that nothing was done.
    async fn change(&self, change: Change) -> Result<Vec<MemberRecord>, Error> {
        let attempts = async {
            loop {
                match self.try_change(&change).await {
                    Err(Error::NotLeader | Error::NoLeader) => self.wait_for_news().await?,
                    result => return result,
                }
            }
        };
        let patience = self.identity.consensus.request_timeout();
        tokio::time::timeout(patience, attempts).await.unwrap_or(Err(Error::Timeout))
    }

    async fn try_change(&self, change: &Change) -> Result<Vec<MemberRecord>, Error> {
        if self.identity.consensus.leadership().is_leader {
            return self.members.change(change.clone()).await;
        }
        let mut client = self.identity.consensus.leader_client().ok_or(Error::NoLeader)?;
        let response = client.change_members(change.to_wire()).await;
        response
            .map(|response| response.into_inner().members)
            .map_err(|status| Error::from_status(&status).unwrap_or(Error::TimeoutDueToConnectionLost))
    }

    /// Until leadership changes, or for a moment.
    async fn wait_for_news(&self) -> Result<(), Error> {
        let mut leadership = self.identity.consensus.watch_leadership();
        leadership.mark_unchanged();
        Ok(leadership.changed_within(self.election_timeout / 10).await?)
    }
}

fn member(record: MemberRecord) -> Member {
    Member {
        id: record.member_id,
        name: record.name,
        peer_ur_ls: record.peer_urls,
        client_ur_ls: record.client_urls,
        is_learner: record.is_learner,
    }
}

fn members(records: Vec<MemberRecord>) -> Vec<Member> {
    records.into_iter().map(member).collect()
}

/// Sorted, as etcd keeps them.
fn peer_urls(urls: &[String]) -> Result<Vec<String>, Error> {
    let urls = parse_urls("peer-urls", &urls.join(",")).map_err(|_| Error::MemberBadUrls)?;
    let mut urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
    urls.sort();
    Ok(urls)
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
        let members = self.identity.mvcc.members().iter().cloned().map(member).collect();
        Ok(Response::new(MemberListResponse { header: self.header(), members }))
    }

    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        let MemberAddRequest { peer_ur_ls, is_learner } = request.into_inner();
        let peer_urls = peer_urls(&peer_ur_ls)?;
        let change = Change::Add { peer_urls: peer_urls.clone(), is_learner };
        let members = members(self.change(change).await?);
        let added = members.iter().find(|member| member.peer_ur_ls == peer_urls).cloned();
        Ok(Response::new(MemberAddResponse { header: self.header(), member: added, members }))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        let members = members(self.change(Change::Remove(request.into_inner().id)).await?);
        Ok(Response::new(MemberRemoveResponse { header: self.header(), members }))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        let MemberUpdateRequest { id, peer_ur_ls } = request.into_inner();
        let change = Change::Update { id, peer_urls: peer_urls(&peer_ur_ls)? };
        let members = members(self.change(change).await?);
        Ok(Response::new(MemberUpdateResponse { header: self.header(), members }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        let members = members(self.change(Change::Promote(request.into_inner().id)).await?);
        self.identity.consensus.metrics().promotions.inc();
        Ok(Response::new(MemberPromoteResponse { header: self.header(), members }))
    }
}
