//! What this member answers to the other members.

use balsa_proto::etcd::etcdserverpb::{
    HashKvRequest, HashKvResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
use balsa_proto::store as pb;
use balsa_proto::store::peer_server::Peer;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use openraft::Snapshot;
use openraft::raft::AppendEntriesRequest;
use std::sync::Arc;
use std::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::raft::{Raft, RaftConsensus};
use super::snapshot::{SnapshotFiles, SnapshotRoot};
use super::types::TypeConfig;
use super::{Consensus, peer_traffic, read_index, reply_wire, snapshot_stream, wire};
use crate::error::Error;
use crate::membership::{Change, LeaderMembers};
use crate::metrics::{InstallMetrics, Metrics};
use crate::server::hash;
use crate::server::lease::LeaderLeases;

pub struct PeerService {
    pub raft: Raft,
    pub consensus: RaftConsensus,
    pub snapshots: SnapshotRoot,
    pub leases: LeaderLeases,
    pub members: LeaderMembers,
    pub metrics: Arc<Metrics>,
}

fn bad_message(error: impl std::error::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::error::Error) -> Status {
    tracing::warn!(%error, "raft does not answer a peer");
    Error::Stopped.into()
}

impl PeerService {
    async fn receive_snapshot(
        &self,
        mut parts: Streaming<pb::SnapshotPart>,
    ) -> Result<Response<pb::InstallSnapshotResponse>, Status> {
        let InstallMetrics { under_way, fsync_seconds, save_seconds } = &self.metrics.installs;
        let refused = |error: snapshot_stream::ReceiveError| Status::aborted(error.to_string());
        let header = snapshot_stream::receive_header(&mut parts).await.map_err(refused)?;
        let (vote, meta) = snapshot_stream::parse_header(header).map_err(refused)?;
        let dir = self.snapshots.incoming().map_err(|error| refused(error.into()))?;
        let began = Instant::now();
        let syncing = snapshot_stream::receive_files(&mut parts, dir.path()).await.map_err(refused)?;
        save_seconds.observe(began.elapsed().as_secs_f64());
        fsync_seconds.observe(syncing.as_secs_f64());
        let snapshot = Snapshot { meta, snapshot: SnapshotFiles(Some(Arc::new(dir))) };
        let _held = under_way.held();
        let response = self.raft.install_full_snapshot(vote, snapshot).await.map_err(stopped)?;
        Ok(Response::new(pb::InstallSnapshotResponse { vote: Some(wire::vote_to(&response.vote)) }))
    }

    fn must_lead(&self) -> Result<(), Status> {
        if self.consensus.leadership().is_leader { Ok(()) } else { Err(Error::NotLeader.into()) }
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    type StreamAppendStream = BoxStream<'static, Result<pb::AppendResponse, Status>>;

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        let request = wire::vote_request_from(request.into_inner()).map_err(bad_message)?;
        let response = self.raft.vote(request).await.map_err(stopped)?;
        Ok(Response::new(wire::vote_response_to(&response)))
    }

    async fn pre_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = wire::vote_request_from(request.into_inner()).map_err(bad_message)?;
        let response = self.raft.pre_vote(request).await.map_err(stopped)?;
        Ok(Response::new(wire::vote_response_to(&response)))
    }

    async fn stream_append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<Self::StreamAppendStream>, Status> {
        let answers = self.raft.stream_append(append_requests(request.into_inner()));
        let answers = answers.map_ok(|result| wire::append_result_to(&result)).map_err(stopped);
        Ok(Response::new(answers.boxed()))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotPart>>,
    ) -> Result<Response<pb::InstallSnapshotResponse>, Status> {
        let peer = peer_traffic::caller(request.metadata().as_ref());
        // Its stamp was checked. It may call before this member has asked after anybody.
        let peer = peer.map(|id| self.metrics.peers.of(id));
        let (began, _held) = (Instant::now(), peer.as_ref().map(|peer| peer.snapshots_in.inflight.held()));
        let outcome = self.receive_snapshot(request.into_inner()).await;
        if let Some(peer) = peer {
            peer.snapshots_in.ended(outcome.is_ok(), began.elapsed());
        }
        outcome
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let request = wire::transfer_from(request.into_inner()).map_err(bad_message)?;
        let result = self.raft.handle_transfer_leader(request).await.map_err(stopped)?;
        let refused = result.err().map(|error| error.to_string()).unwrap_or_default();
        Ok(Response::new(pb::TransferLeaderResponse { refused }))
    }

    async fn propose(
        &self,
        request: Request<pb::ProposeRequest>,
    ) -> Result<Response<pb::ProposeResponse>, Status> {
        self.must_lead()?;
        let batch = request.into_inner().batch.unwrap_or_default();
        let mut waiting = Vec::with_capacity(batch.commands.len());
        for command in batch.commands {
            waiting.push(self.consensus.enqueue(command)?);
        }
        let mut replies = Vec::with_capacity(waiting.len());
        for result in waiting {
            replies.push(result.await.unwrap_or(Err(Error::Stopped)));
        }
        // The replies came after their entry was applied here, so this is its index or a later one.
        let applied_index = *self.consensus.watch_applied().borrow();
        Ok(Response::new(reply_wire::replies_to(replies, applied_index)))
    }

    async fn read_index(
        &self,
        _: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexResponse>, Status> {
        self.must_lead()?;
        let index = read_index::confirm(&self.raft).await?;
        Ok(Response::new(pb::ReadIndexResponse { index }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        Ok(Response::new(hash::answer(&self.leases.identity, request.into_inner().revision).await?))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<LeaseKeepAliveRequest>,
    ) -> Result<Response<LeaseKeepAliveResponse>, Status> {
        self.must_lead()?;
        Ok(Response::new(self.leases.keep_alive(request.into_inner().id).await?))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        self.must_lead()?;
        Ok(Response::new(self.leases.time_to_live(request.into_inner()).await?))
    }

    async fn change_members(
        &self,
        request: Request<pb::ChangeMembersRequest>,
    ) -> Result<Response<pb::MemberRecords>, Status> {
        self.must_lead()?;
        let change = Change::from_wire(request.into_inner())
            .ok_or_else(|| Status::invalid_argument("the change is of another version"))?;
        Ok(Response::new(pb::MemberRecords { members: self.members.change(change).await? }))
    }
}

/// The requests of a stream up to the first that cannot be read: raft sees a stream that ended.
fn append_requests(
    requests: Streaming<pb::AppendRequest>,
) -> impl futures::Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + 'static {
    let decoded = requests.map(|request| match request {
        Ok(request) => wire::append_from(request).map_err(bad_message),
        Err(status) => Err(status),
    });
    decoded.scan((), |(), request| {
        let request = request.inspect_err(|status| tracing::debug!(%status, "an append stream ended")).ok();
        futures::future::ready(request)
    })
}
