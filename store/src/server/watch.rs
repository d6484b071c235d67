//! `etcdserverpb.Watch`: the gRPC shell around [`WatchStream`], which knows the rules.
//!
//! One task per client stream. It takes requests and hands out responses; when the client does not read, it waits, and
//! the stream's watchers fall behind in the hub without anybody else noticing.

use balsa_proto::etcd::etcdserverpb::watch_server::Watch;
use balsa_proto::etcd::etcdserverpb::{WatchRequest, WatchResponse};
use futures::StreamExt;
use futures::stream::BoxStream;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{Shared, need_leader};
use crate::error::Error;
use crate::limits::{GRPC_OVERHEAD_BYTES, STREAM_BUFFER};
use crate::status::Identity;
use crate::watch::{StreamOptions, WatchHub, WatchStream};

pub struct WatchService {
    identity: Identity,
    hub: WatchHub,
    max_request_bytes: usize,
    election_timeout: Duration,
    progress_interval: Duration,
    shutdown: CancellationToken,
}

impl WatchService {
    pub fn new(shared: &Shared) -> Self {
        let Shared { identity, hub, max_request_bytes, election_timeout, shutdown, .. } = shared.clone();
        let progress_interval = shared.watch_progress_interval;
        WatchService { identity, hub, max_request_bytes, election_timeout, progress_interval, shutdown }
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
        let (responses, stream) = mpsc::channel(STREAM_BUFFER);
        let client =
            Client { identity: self.identity.clone(), responses, requests: Some(request.into_inner()) };
        let watchers = self.hub.stream(options);
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            let responses = client.responses.clone();
            tokio::select! {
                () = client.serve(watchers) => {}
                () = lost => drop(responses.send(Err(Error::NoLeader.into())).await),
                () = shutdown.cancelled() => drop(responses.send(Err(Error::Stopped.into())).await),
            }
        });
        Ok(Response::new(ReceiverStream::new(stream).boxed()))
    }
}

/// The two directions of one client's stream.
struct Client {
    identity: Identity,
    responses: mpsc::Sender<Result<WatchResponse, Status>>,
    /// `None` once the client has said all it wants to say; it may go on listening.
    requests: Option<Streaming<WatchRequest>>,
}

/// What happened next on a stream.
enum Turn {
    Request(WatchRequest),
    NoMoreRequests,
    Response(WatchResponse),
}

impl Client {
    /// Until the client is gone.
    async fn serve(mut self, mut watchers: WatchStream) {
        loop {
            let turn = tokio::select! {
                biased;
                request = next_request(&mut self.requests) => request,
                response = watchers.next() => Turn::Response(response),
                () = self.responses.closed() => return,
            };
            match turn {
                Turn::Request(request) => watchers.handle(request),
                Turn::NoMoreRequests => self.requests = None,
                Turn::Response(response) => {
                    if self.send(response).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn send(
        &self,
        mut response: WatchResponse,
    ) -> Result<(), mpsc::error::SendError<Result<WatchResponse, Status>>> {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        let mut header = self.identity.header_without_revision();
        header.revision = revision;
        response.header = Some(header);
        self.responses.send(Ok(response)).await
    }
}

/// A broken request side is the end of the requests: the response side tells whether the client is gone.
async fn next_request(requests: &mut Option<Streaming<WatchRequest>>) -> Turn {
    match requests {
        None => std::future::pending().await,
        Some(stream) => match stream.next().await {
            Some(Ok(request)) => Turn::Request(request),
            Some(Err(_)) | None => Turn::NoMoreRequests,
        },
    }
}
