//! Raft's messages to one other member, over gRPC.
//!
//! Appends are pipelined: one stream carries them as fast as they are made, and the answers come back in order. A lone
//! one, such as a heartbeat, is a plain call, which costs a third of a stream's beginning and end.
//! A call that fails is reported as such, never as a grant: a lone member must not win a pre-vote.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RPCTypes, RaftNetworkV2, Snapshot};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::peers::{Client, Lane, Peers, says_removed};
use super::snapshot::SnapshotFiles;
use super::types::{LeaderId, TypeConfig, Vote};
use super::{MemberNode, snapshot_stream, wire};
use crate::metrics::peers::PeerCounts;

type RaftSnapshot = Snapshot<LeaderId, u64, MemberNode, SnapshotFiles>;
type RpcError = RPCError<TypeConfig>;
type AppendResult = Result<StreamAppendResult<TypeConfig>, RpcError>;

/// Makes a [`Link`] per member and purpose.
pub struct Network {
    pub own_id: u64,
    pub peers: Peers,
    pub retry_interval: Duration,
    /// Cancelled when another member says that this one was removed.
    pub removed: CancellationToken,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &MemberNode) -> Link {
        Link {
            own_id: self.own_id,
            target,
            node: node.clone(),
            counts: self.peers.counts(target),
            peers: self.peers.clone(),
            retry_interval: self.retry_interval,
            removed: self.removed.clone(),
        }
    }
}

/// The way to one member.
pub struct Link {
    own_id: u64,
    target: u64,
    node: MemberNode,
    peers: Peers,
    counts: Arc<PeerCounts>,
    retry_interval: Duration,
    removed: CancellationToken,
}

impl Link {
    fn client(&self, lane: Lane) -> Result<Client, Unreachable<TypeConfig>> {
        self.peers.client(lane, self.target, &self.node).map_err(|error| Unreachable::new(&error))
    }

    fn failed(&self) {
        self.counts.send_failures.inc();
        self.counts.lost();
    }

    async fn bounded<T>(
        &self,
        action: RPCTypes,
        timeout: Duration,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, RpcError> {
        let answer = tokio::time::timeout(timeout, call).await;
        match &answer {
            Ok(Ok(_)) => self.counts.heard(),
            Ok(Err(_)) | Err(_) => self.failed(),
        }
        match answer {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(status)) => {
                if says_removed(&status) {
                    self.removed.cancel();
                }
                Err(rpc_error(&status))
            }
            Err(_) => Err(Timeout { action, id: self.own_id, target: self.target, timeout }.into()),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = SnapshotFiles;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let input = futures::stream::iter([request]);
        let mut answers = self.stream_append(input, option).await?;
        match answers.next().await {
            Some(answer) => answer.map(AppendEntriesResponse::from),
            None => Err(network_error("the append was not answered")),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, AppendResult>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        async move {
            let mut input = input;
            let first =
                input.next().await.ok_or_else(|| network_error::<RpcError>("there is nothing to append"))?;
            // Polled once: a heartbeat is a stream that is over by now, and replication one that goes on.
            let second = input.next().now_or_never();
            let mut client = self.client(Lane::Raft)?;
            let first = wire::append_to(&first);
            if let Some(None) = second {
                let call = client.append(first);
                let answer = self.bounded(RPCTypes::AppendEntries, option.hard_ttl(), call).await;
                let answer = answer.and_then(|answer| append_answer(Ok(answer.into_inner())));
                return Ok(futures::stream::iter([answer]).boxed());
            }
            let second = second.flatten().map(|request| wire::append_to(&request));
            let rest = input.map(|request| wire::append_to(&request));
            let requests = futures::stream::iter(std::iter::once(first).chain(second)).chain(rest);
            let call = client.stream_append(requests);
            let answers = self.bounded(RPCTypes::AppendEntries, option.hard_ttl(), call).await?.into_inner();
            Ok(answers.map(append_answer).boxed())
        }
        .boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut client = self.client(Lane::Raft)?;
        let call = client.vote(wire::vote_request_to(&request));
        let response = self.bounded(RPCTypes::Vote, option.hard_ttl(), call).await?;
        wire::vote_response_from(response.into_inner()).map_err(network_error)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut client = self.client(Lane::Raft)?;
        let call = client.pre_vote(wire::vote_request_to(&request));
        let response = self.bounded(RPCTypes::Vote, option.hard_ttl(), call).await?;
        wire::vote_response_from(response.into_inner()).map_err(network_error)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: RaftSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let mut client = self.client(Lane::Snapshot)?;
        let SnapshotFiles(Some(dir)) = snapshot.snapshot else {
            return Err(NetworkError::from_string("the snapshot has no files to send").into());
        };
        let (began, snapshots) = (Instant::now(), &self.counts.snapshots_out);
        let _held = snapshots.inflight.held();
        let header = snapshot_stream::header(&vote, &snapshot.meta);
        let call = client.install_snapshot(snapshot_stream::send(header, dir));
        let answer = self.bounded(RPCTypes::InstallSnapshot, option.hard_ttl(), call);
        let response = tokio::select! {
            biased;
            answer = answer => {
                snapshots.ended(answer.is_ok(), began.elapsed());
                answer?.into_inner()
            }
            closed = cancel => {
                snapshots.ended(false, began.elapsed());
                return Err(closed.into());
            }
        };
        let vote = wire::vote_from(response.vote).map_err(network_error::<StreamingError<TypeConfig>>)?;
        Ok(SnapshotResponse::new(vote))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let mut client = self.client(Lane::Raft)?;
        let call = client.transfer_leader(wire::transfer_to(&request));
        let response = self.bounded(RPCTypes::TransferLeader, option.hard_ttl(), call).await?.into_inner();
        if response.refused.is_empty() {
            return Ok(Ok(()));
        }
        tracing::info!(target_member = self.target, reason = response.refused, "leader transfer refused");
        let expected = request.last_log_id().copied();
        Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual: None }))
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(self.retry_interval)))
    }
}

fn append_answer(answer: Result<balsa_proto::store::AppendResponse, Status>) -> AppendResult {
    let answer = answer.map_err(|status| rpc_error(&status))?;
    wire::append_result_from(answer).map_err(network_error)
}

/// Unreachable makes raft wait a little before the next try; anything else is tried again at once.
fn rpc_error(status: &Status) -> RpcError {
    match status.code() {
        Code::Unavailable
        | Code::Unknown
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::PermissionDenied => Unreachable::new(status).into(),
        _ => NetworkError::new(status).into(),
    }
}

fn network_error<E: From<NetworkError<TypeConfig>>>(error: impl ToString) -> E {
    NetworkError::from_string(error).into()
}
