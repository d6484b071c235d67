//! Raft's messages to one other member, over gRPC.
//!
//! Appends are pipelined: one stream carries them as fast as they are made, and the answers come back in order. Lone ones,
//! such as the heartbeats behind each round of reads, follow one another on a stream that stays open ([`LoneAppends`]).
//! A call that fails is reported as such, never as a grant: a lone member must not win a pre-vote.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balsa_proto::store as pb;
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
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

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
            lone: None,
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
    /// Open, and nothing under way on it.
    lone: Option<LoneAppends>,
}

/// A stream for appends that are answered one by one: a message each way, and no call's beginning and end.
struct LoneAppends {
    requests: mpsc::Sender<pb::AppendRequest>,
    answers: Streaming<pb::AppendResponse>,
}

impl LoneAppends {
    async fn open(mut client: Client) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(1);
        let answers = client.stream_append(ReceiverStream::new(receiver)).await?.into_inner();
        Ok(LoneAppends { requests, answers })
    }

    async fn ask(&mut self, request: pb::AppendRequest) -> Result<pb::AppendResponse, Status> {
        let ended = || Status::unavailable("the stream of appends ended");
        self.requests.send(request).await.map_err(|_| ended())?;
        self.answers.message().await?.ok_or_else(ended)
    }
}

impl Link {
    fn client(&self, lane: Lane) -> Result<Client, Unreachable<TypeConfig>> {
        self.peers.client(lane, self.target, &self.node).map_err(|error| Unreachable::new(&error))
    }

    fn failed(&self) {
        self.counts.send_failures.inc();
        self.counts.lost();
    }

    /// On the stream that is open, or on a new one if there is none or it has broken meanwhile: an append may come twice.
    async fn append_alone(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        ttl: Duration,
    ) -> AppendResult {
        let request = wire::append_to(&request);
        let kept = self.lone.take();
        let exchange = async {
            if let Some(mut kept) = kept
                && let Ok(answer) = kept.ask(request.clone()).await
            {
                return Ok((answer, kept));
            }
            let client = self.client(Lane::Raft).map_err(|error| Status::unavailable(error.to_string()))?;
            let mut fresh = LoneAppends::open(client).await?;
            Ok((fresh.ask(request).await?, fresh))
        };
        let (answer, open) = self.bounded(RPCTypes::AppendEntries, ttl, exchange).await?;
        let answer = append_answer(Ok(answer));
        // The other side ends a stream with its first refusal.
        self.lone = matches!(answer, Ok(Ok(_))).then_some(open);
        answer
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
        self.append_alone(request, option.hard_ttl()).await.map(AppendEntriesResponse::from)
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
            if let Some(None) = second {
                let answer = self.append_alone(first, option.hard_ttl()).await;
                return Ok(futures::stream::iter([answer]).boxed());
            }
            let mut client = self.client(Lane::Raft)?;
            let first = wire::append_to(&first);
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

fn append_answer(answer: Result<pb::AppendResponse, Status>) -> AppendResult {
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
