//! `v3electionpb.Election`: whoever holds the oldest key below `name/` leads, and its value is what he proclaims.

use balsa_proto::etcd::etcdserverpb::range_request::SortOrder;
use balsa_proto::etcd::etcdserverpb::{ResponseHeader, TxnRequest, WatchResponse};
use balsa_proto::etcd::mvccpb::KeyValue;
use balsa_proto::etcd::mvccpb::event::EventType;
use balsa_proto::etcd::v3electionpb::election_server::Election;
use balsa_proto::etcd::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ProclaimResponse, ResignRequest, ResignResponse,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Shared;
use super::turns::{self, Turns};
use crate::limits::STREAM_BUFFER;
use crate::mvcc::prefix_end;
use crate::watch::WatchStream;

/// Stock etcd's words, of code `Unknown` all.
const NOT_LEADER: &str = "election: not leader";
const NO_LEADER: &str = "election: no leader";
const NO_LEADER_FIELD: &str = "\"leader\" field must be provided";

pub struct ElectionService {
    turns: Turns,
}

impl ElectionService {
    pub fn new(shared: &Shared) -> Self {
        ElectionService { turns: Turns::new(shared) }
    }
}

/// A candidate whose client has gone away resigns.
struct Candidacy {
    turns: Turns,
    standing: Option<LeaderKey>,
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        let Some(standing) = self.standing.take() else { return };
        let turns = self.turns.clone();
        tokio::spawn(async move {
            if let Err(status) = resign(&turns, standing).await {
                tracing::info!(message = status.message(), "a candidacy stays until its lease ends");
            }
        });
    }
}

#[tonic::async_trait]
impl Election for ElectionService {
    type ObserveStream = BoxStream<'static, Result<LeaderResponse, Status>>;

    async fn campaign(
        &self,
        request: Request<CampaignRequest>,
    ) -> Result<Response<CampaignResponse>, Status> {
        let turns = self.turns.of(&request);
        let CampaignRequest { name, lease, value } = request.into_inner();
        let lease = turns.lease(lease).await?;
        let key = turns::place(&name, lease);
        let entered = turns
            .txn(TxnRequest {
                compare: vec![turns::created_at(key.clone(), 0)],
                success: vec![turns::put(key.clone(), value.clone(), lease)],
                failure: vec![turns::get(turns::one(key.clone()))],
            })
            .await?;
        let mut leader = LeaderKey { name, key, rev: turns::revision(&entered.header), lease };
        let mut candidacy = Candidacy { turns: turns.clone(), standing: None };
        if let Some(own) = turns::found(&entered, 0).first() {
            leader.rev = own.create_revision;
            candidacy.standing = Some(leader.clone());
            if own.value != value {
                proclaim(&turns, leader.clone(), value).await?;
            }
        }
        candidacy.standing = Some(leader.clone());
        turns.wait_for_turn(&turns::prefix(&leader.name), leader.rev - 1).await?;
        candidacy.standing = None;
        Ok(Response::new(CampaignResponse { header: entered.header, leader: Some(leader) }))
    }

    async fn proclaim(
        &self,
        request: Request<ProclaimRequest>,
    ) -> Result<Response<ProclaimResponse>, Status> {
        let turns = self.turns.of(&request);
        let ProclaimRequest { leader, value } = request.into_inner();
        let leader = leader.ok_or_else(|| Status::unknown(NO_LEADER_FIELD))?;
        let header = proclaim(&turns, leader, value).await?;
        Ok(Response::new(ProclaimResponse { header }))
    }

    async fn leader(&self, request: Request<LeaderRequest>) -> Result<Response<LeaderResponse>, Status> {
        let turns = self.turns.of(&request);
        let prefix = turns::prefix(&request.into_inner().name);
        let found = turns.range(turns::first(prefix, SortOrder::Ascend)).await?;
        match found.kvs.into_iter().next() {
            Some(kv) => Ok(Response::new(LeaderResponse { header: found.header, kv: Some(kv) })),
            None => Err(Status::unknown(NO_LEADER)),
        }
    }

    async fn observe(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let turns = self.turns.of(&request);
        let prefix = turns::prefix(&request.into_inner().name);
        let (leaders, stream) = mpsc::channel(STREAM_BUFFER);
        let observer = Observer { turns, prefix, leaders };
        tokio::spawn(async move {
            let client = observer.leaders.clone();
            tokio::select! {
                biased;
                () = client.closed() => {}
                // Stock ends the stream without an error when the watch behind it ends.
                ended = observer.run() => if let Err(status) = ended {
                    tracing::debug!(message = status.message(), "an observation ended");
                },
            }
        });
        Ok(Response::new(ReceiverStream::new(stream).boxed()))
    }

    async fn resign(&self, request: Request<ResignRequest>) -> Result<Response<ResignResponse>, Status> {
        let turns = self.turns.of(&request);
        let leader = request.into_inner().leader.ok_or_else(|| Status::unknown(NO_LEADER_FIELD))?;
        let header = resign(&turns, leader).await?;
        Ok(Response::new(ResignResponse { header }))
    }
}

/// Only while the key is still the one that won.
async fn proclaim(turns: &Turns, leader: LeaderKey, value: Bytes) -> Result<Option<ResponseHeader>, Status> {
    let written = turns
        .txn(TxnRequest {
            compare: vec![turns::created_at(leader.key.clone(), leader.rev)],
            success: vec![turns::put(leader.key, value, leader.lease)],
            failure: Vec::new(),
        })
        .await?;
    if written.succeeded { Ok(written.header) } else { Err(Status::unknown(NOT_LEADER)) }
}

/// Whoever does not lead any more has nothing to resign from, and that is no error.
async fn resign(turns: &Turns, leader: LeaderKey) -> Result<Option<ResponseHeader>, Status> {
    let resigned = turns
        .txn(TxnRequest {
            compare: vec![turns::created_at(leader.key.clone(), leader.rev)],
            success: vec![turns::delete(leader.key)],
            failure: Vec::new(),
        })
        .await?;
    Ok(resigned.header)
}

/// Says who leads and what he proclaims, each time anew; what came and went in between may be left out.
struct Observer {
    turns: Turns,
    prefix: Bytes,
    leaders: mpsc::Sender<Result<LeaderResponse, Status>>,
}

impl Observer {
    async fn run(&self) -> Result<(), Status> {
        loop {
            let (header, kv) = self.leader().await?;
            let next_revision = turns::revision(&header) + 1;
            let key = kv.key.clone();
            if self.say(header, kv).await.is_err() {
                return Ok(());
            }
            let mut watcher = self.turns.watch(key, Bytes::new(), next_revision).await?;
            while let Some(proclaimed) = next_put(&self.turns, &mut watcher).await? {
                for (header, kv) in proclaimed {
                    if self.say(header, kv).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn leader(&self) -> Result<(Option<ResponseHeader>, KeyValue), Status> {
        let found = self.turns.range(turns::first(self.prefix.clone(), SortOrder::Ascend)).await?;
        if let Some(kv) = found.kvs.into_iter().next() {
            return Ok((found.header, kv));
        }
        let from = turns::revision(&found.header);
        let end = prefix_end(&self.prefix).into();
        let mut watcher = self.turns.watch(self.prefix.clone(), end, from).await?;
        loop {
            let response = self.turns.next(&mut watcher).await?;
            if let Some(put) = puts(&response).into_iter().next() {
                return Ok(put);
            }
        }
    }

    async fn say(
        &self,
        mut header: Option<ResponseHeader>,
        kv: KeyValue,
    ) -> Result<(), mpsc::error::SendError<Result<LeaderResponse, Status>>> {
        self.turns.fill(&mut header);
        self.leaders.send(Ok(LeaderResponse { header, kv: Some(kv) })).await
    }
}

/// `None` once the key is deleted.
async fn next_put(
    turns: &Turns,
    watcher: &mut WatchStream,
) -> Result<Option<Vec<(Option<ResponseHeader>, KeyValue)>>, Status> {
    let response = turns.next(watcher).await?;
    let deleted = response.events.iter().any(|event| event.r#type() == EventType::Delete);
    Ok(if deleted { None } else { Some(puts(&response)) })
}

/// Each with a header at its own revision.
fn puts(response: &WatchResponse) -> Vec<(Option<ResponseHeader>, KeyValue)> {
    let puts = response.events.iter().filter(|event| event.r#type() == EventType::Put);
    puts.filter_map(|event| event.kv.clone())
        .map(|kv| (Some(ResponseHeader { revision: kv.mod_revision, ..ResponseHeader::default() }), kv))
        .collect()
}
