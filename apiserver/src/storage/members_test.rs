//! What callers notice of a member that does not answer: a listener whose connections nobody serves, which looks like one
//! that a network has cut off. It is always the first that is asked.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::kv_server::{Kv, KvServer};
use bytes::Bytes;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

use super::members::{Members, Pace};
use super::{Claims, Store, StoreError};

const PACE: Pace = Pace { interval: Duration::from_millis(20), patience: Duration::from_millis(250) };

/// A member that serves; counts the writes that it has seen.
#[derive(Clone, Default)]
struct Healthy {
    writes: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl Kv for Healthy {
    type RangeStreamStream = tokio_stream::Pending<Result<pb::RangeStreamResponse, Status>>;

    async fn range_stream(
        &self,
        _: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn range(&self, _: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        let header = Some(pb::ResponseHeader { revision: 7, ..Default::default() });
        Ok(Response::new(pb::RangeResponse { header, ..Default::default() }))
    }

    async fn txn(&self, _: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let header = Some(pb::ResponseHeader { revision: 8, ..Default::default() });
        Ok(Response::new(pb::TxnResponse { header, succeeded: true, ..Default::default() }))
    }

    async fn put(&self, _: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn delete_range(
        &self,
        _: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn compact(
        &self,
        _: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }
}

/// A store of two members, of which only the second serves.
struct Pair {
    store: Store,
    healthy: Healthy,
}

impl Pair {
    async fn with_first(first: SocketAddr) -> Pair {
        let healthy = Healthy::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let second = listener.local_addr().unwrap();
        let service = Server::builder().add_service(KvServer::new(healthy.clone()));
        tokio::spawn(service.serve_with_incoming(TcpListenerStream::new(listener)));
        let endpoint = |address| Endpoint::from_shared(format!("http://{address}")).unwrap();
        let store = Store::of(Members::new(vec![endpoint(first), endpoint(second)], PACE), "registry");
        tokio::spawn(store.clone().watch_over(CancellationToken::new()));
        Pair { store, healthy }
    }

    async fn create(&self) -> Result<u64, StoreError> {
        self.store.create("/registry/configmaps/n/a", Bytes::new(), false, &Claims::default()).await
    }

    fn writes(&self) -> usize {
        self.healthy.writes.load(Ordering::SeqCst)
    }
}

/// The kernel takes connections in its name.
fn silent() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[tokio::test]
async fn a_read_that_a_silent_member_keeps_is_answered_by_another_one() {
    let silent = silent();
    let pair = Pair::with_first(silent.local_addr().unwrap()).await;
    for _ in 0..4 {
        assert_eq!(pair.store.current_revision().await.unwrap(), 7);
    }
}

#[tokio::test]
async fn a_read_whose_connection_breaks_is_answered_by_another_member() {
    let breaking = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pair = Pair::with_first(breaking.local_addr().unwrap()).await;
    // Each connection is taken, and ended once something was said.
    tokio::spawn(async move {
        while let Ok((connection, _)) = breaking.accept().await {
            connection.readable().await.unwrap();
        }
    });
    for _ in 0..4 {
        assert_eq!(pair.store.current_revision().await.unwrap(), 7);
    }
}

#[tokio::test]
async fn a_write_that_a_silent_member_keeps_is_not_made_elsewhere_and_later_ones_are() {
    let silent = silent();
    let pair = Pair::with_first(silent.local_addr().unwrap()).await;
    let kept = pair.create().await;
    assert!(matches!(kept, Err(StoreError::Timeout)), "{kept:?}");
    assert_eq!(pair.writes(), 0);
    for number in 1..=4 {
        assert_eq!(pair.create().await.unwrap(), 8);
        assert_eq!(pair.writes(), number);
    }
}

#[tokio::test]
async fn a_write_that_no_connection_took_is_made_elsewhere_once() {
    let refusing = silent().local_addr().unwrap();
    let pair = Pair::with_first(refusing).await;
    assert_eq!(pair.create().await.unwrap(), 8);
    assert_eq!(pair.writes(), 1);
}

#[tokio::test]
async fn a_watch_of_a_silent_member_ends() {
    let silent = silent();
    let pair = Pair::with_first(silent.local_addr().unwrap()).await;
    let broken = pair.store.watch(tokio_stream::pending()).await.map(drop).unwrap_err();
    assert_eq!(broken.code(), tonic::Code::Unavailable);
    // The healthy member of this test has no watches: who asks again reaches it, and is told so.
    let asked = pair.store.watch(tokio_stream::pending()).await.map(drop).unwrap_err();
    assert_eq!(asked.code(), tonic::Code::Unimplemented);
}
