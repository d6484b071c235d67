//! Many watchers on many streams: opened, counted, read.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::Bench;
use crate::ctl::connect::Connection;
use crate::ctl::{connect, watch};

/// Requests that a stream may have waiting.
const QUEUE: usize = 64;

pub struct WatchStream {
    client: WatchClient<Connection>,
    requests: mpsc::Sender<pb::WatchRequest>,
    /// Until the first request: a server answers a stream no sooner.
    unopened: Option<mpsc::Receiver<pb::WatchRequest>>,
    responses: Option<Streaming<pb::WatchResponse>>,
}

/// So many streams, on the connections in turn.
pub fn open(bench: &Bench<'_>, streams: usize) -> Vec<WatchStream> {
    let stream = |number: usize| {
        let connection = bench.connections[number % bench.connections.len()].clone();
        let (requests, unopened) = mpsc::channel(QUEUE);
        let client = connect::watch(bench.flags, connection);
        WatchStream { client, requests, unopened: Some(unopened), responses: None }
    };
    (0..streams.max(1)).map(stream).collect()
}

impl WatchStream {
    /// Creates a watcher and waits until the server has it.
    pub async fn create(&mut self, request: pb::WatchCreateRequest) -> Result<(), Status> {
        self.create_counting(request).await.map(drop)
    }

    /// Likewise; how many events of earlier watchers came meanwhile.
    pub async fn create_counting(&mut self, request: pb::WatchCreateRequest) -> Result<u64, Status> {
        let request = watch::wrap(RequestUnion::CreateRequest(request));
        // A stream that is over says so when it is read.
        let _ = self.requests.send(request).await;
        if let Some(requests) = self.unopened.take() {
            self.responses = Some(self.client.watch(ReceiverStream::new(requests)).await?.into_inner());
        }
        let mut events = 0;
        loop {
            let response = self.next().await?;
            events += response.events.len() as u64;
            if response.created {
                return Ok(events);
            }
        }
    }

    /// The next response; a watcher that was cancelled is an error.
    pub async fn next(&mut self) -> Result<pb::WatchResponse, Status> {
        let responses =
            self.responses.as_mut().ok_or_else(|| Status::internal("the stream has no watcher"))?;
        let response = responses.message().await?;
        let response = response.ok_or_else(|| Status::unavailable("the server ended the stream"))?;
        if response.canceled {
            return Err(Status::aborted(format!("a watcher was cancelled: {}", response.cancel_reason)));
        }
        Ok(response)
    }
}
