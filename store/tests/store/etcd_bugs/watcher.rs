//! One watch stream, as a client without a library sees it.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::harness::Cluster;

/// Longest time for an answer that must come.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Watcher {
    requests: mpsc::UnboundedSender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Watcher {
    pub async fn open(cluster: &Cluster, member: usize) -> Watcher {
        let (requests, queue) = mpsc::unbounded_channel();
        let mut client = cluster.watches(member);
        let responses = client.watch(UnboundedReceiverStream::new(queue)).await.unwrap().into_inner();
        Watcher { requests, responses }
    }

    /// Watches everything from `start_revision` and returns the response that says so.
    pub async fn create(&mut self, start_revision: i64) -> WatchResponse {
        let create = WatchCreateRequest {
            key: b"\0".to_vec().into(),
            range_end: b"\0".to_vec().into(),
            start_revision,
            ..Default::default()
        };
        self.send(RequestUnion::CreateRequest(create));
        let response = self.next().await;
        assert!(response.created, "created comes first: {response:?}");
        response
    }

    pub fn cancel(&self, watch_id: i64) {
        self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id }));
    }

    pub fn ask_progress(&self) {
        self.send(RequestUnion::ProgressRequest(WatchProgressRequest {}));
    }

    fn send(&self, request: RequestUnion) {
        self.requests.send(WatchRequest { request_union: Some(request) }).unwrap();
    }

    pub async fn next(&mut self) -> WatchResponse {
        let response = tokio::time::timeout(PATIENCE, self.responses.message()).await;
        response.expect("a response in time").unwrap().expect("the stream goes on")
    }

    /// Revisions of the events that come until `last`, in the order of their coming.
    pub async fn revisions_until(&mut self, last: i64) -> Vec<i64> {
        let mut revisions = Vec::new();
        while revisions.last().is_none_or(|revision| *revision < last) {
            let response = self.next().await;
            assert!(!response.canceled, "{response:?}");
            revisions.extend(event_revisions(&response));
        }
        revisions
    }
}

pub fn event_revisions(response: &WatchResponse) -> Vec<i64> {
    response.events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision).collect()
}
