//! `etcdserverpb.Watch`: the gRPC shell around [`WatchStream`], which knows the rules.
//!
//! The connection drives each client stream: it takes requests and hands out responses; when the client does not read, the
//! stream is not polled, and its watchers fall behind in the hub without anybody else noticing.

use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::etcdserverpb::watch_server::Watch;
use balsa_proto::etcd::etcdserverpb::{WatchRequest, WatchResponse};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::credentials::Credentials;
use super::gate::Gate;
use super::{Shared, need_leader, wording};
use crate::auth::Permit;
use crate::error::Error;
use crate::limits::{GRPC_OVERHEAD_BYTES, RESPONSES_IN_A_ROW};
use crate::status::Identity;
use crate::watch::{StreamOptions, WatchHub, WatchStream};

pub struct WatchService {
    identity: Identity,
    gate: Gate,
    hub: WatchHub,
    max_request_bytes: usize,
    election_timeout: Duration,
    progress_interval: Duration,
    shutdown: CancellationToken,
}

impl WatchService {
    pub fn new(shared: &Shared) -> Self {
        let Shared { identity, gate, hub, max_request_bytes, election_timeout, shutdown, .. } =
            shared.clone();
        let progress_interval = shared.watch_progress_interval;
        WatchService { identity, gate, hub, max_request_bytes, election_timeout, progress_interval, shutdown }
    }
}

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let wanted = need_leader::wants_leader(request.metadata().as_ref());
        let lost = need_leader::lost(wanted, self.identity.consensus.clone(), self.election_timeout);
        let options = StreamOptions {
            progress_interval: self.progress_interval,
            fragment_bytes: self.max_request_bytes.saturating_add(GRPC_OVERHEAD_BYTES),
        };
        let client = Client {
            identity: self.identity.clone(),
            gate: self.gate.clone(),
            credentials: Credentials::of(&request),
            requests: Some(request.into_inner()),
            watchers: self.hub.stream(options),
            lost: Box::pin(lost),
            shutdown: Box::pin(self.shutdown.clone().cancelled_owned()),
            in_a_row: 0,
            ended: false,
        };
        Ok(Response::new(futures::stream::unfold(client, Client::next).boxed()))
    }
}

/// The two directions of one client's stream. Polled by the connection itself: a response passes no channel.
struct Client {
    identity: Identity,
    gate: Gate,
    credentials: Credentials,
    /// `None` once the client has said all it wants to say; it may go on listening.
    requests: Option<Streaming<WatchRequest>>,
    watchers: WatchStream,
    /// Resolves when the client wanted a leader and there has been none for too long.
    lost: BoxFuture<'static, ()>,
    shutdown: BoxFuture<'static, ()>,
    /// Responses since the last look at the requests.
    in_a_row: usize,
    ended: bool,
}

/// What happened next on a stream.
enum Turn {
    Request(WatchRequest),
    NoMoreRequests,
    Response(WatchResponse),
    End(Status),
}

impl Client {
    /// The next response, and what comes after it; `None` after an end.
    async fn next(mut self) -> Option<(Result<WatchResponse, Status>, Self)> {
        while !self.ended {
            match self.turn().await {
                Turn::Request(request) => match admit(&self.gate, &self.credentials, &request).await {
                    Ok(()) => self.watchers.handle(request),
                    Err(refused) => self.watchers.refuse(&go_text(refused)),
                },
                Turn::NoMoreRequests => self.requests = None,
                Turn::Response(response) => return Some((Ok(self.complete(response)), self)),
                Turn::End(status) => {
                    self.ended = true;
                    return Some((Err(status), self));
                }
            }
        }
        None
    }

    /// Responses that wait go first, but a client that cancels is heard before long.
    async fn turn(&mut self) -> Turn {
        if self.in_a_row < RESPONSES_IN_A_ROW
            && let Some(response) = self.watchers.ready()
        {
            self.in_a_row += 1;
            return Turn::Response(response);
        }
        self.in_a_row = 0;
        tokio::select! {
            biased;
            request = next_request(&mut self.requests) => request,
            () = &mut self.shutdown => Turn::End(Error::Stopped.into()),
            () = &mut self.lost => Turn::End(Error::NoLeader.into()),
            response = self.watchers.next() => Turn::Response(response),
        }
    }

    fn complete(&self, mut response: WatchResponse) -> WatchResponse {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        let mut header = self.identity.header_without_revision();
        header.revision = revision;
        response.header = Some(header);
        response
    }
}

/// An error as a Go server's status prints itself: stock puts that into the reason.
fn go_text(error: Error) -> String {
    format!("rpc error: code = {:?} desc = {}", error.code(), error.text())
}

/// Asked on the range as the client gave it: what it means is decided once (GHSA-xg4h-6gfc-h4m8).
async fn admit(gate: &Gate, credentials: &Credentials, request: &WatchRequest) -> Result<(), Error> {
    let Some(RequestUnion::CreateRequest(create)) = &request.request_union else { return Ok(()) };
    // A start below zero has its own answer.
    if gate.is_open() || create.start_revision < 0 {
        return Ok(());
    }
    let key = if create.key.is_empty() { Bytes::from_static(b"\0") } else { create.key.clone() };
    let readable = |permit: Permit<'_>| permit.read(&key, &create.range_end);
    gate.admit(credentials, readable).await.map(|_| ())
}

/// A request that cannot be read is the end of the stream, and the client is told why, if it is still there.
async fn next_request(requests: &mut Option<Streaming<WatchRequest>>) -> Turn {
    match requests {
        None => std::future::pending().await,
        Some(stream) => match stream.next().await {
            Some(Ok(request)) => Turn::Request(request),
            Some(Err(status)) => Turn::End(wording::reworded_status(status)),
            None => Turn::NoMoreRequests,
        },
    }
}
