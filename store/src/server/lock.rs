//! `v3lockpb.Lock`: whoever holds the oldest key below `name/` holds the lock, as long as his lease lives.
//!
//! Not a mutex by itself: a holder that was slow may act after his lease has ended. Guard what the lock protects with a
//! compare on the key that `Lock` returned.

use balsa_proto::etcd::etcdserverpb::range_request::SortOrder;
use balsa_proto::etcd::etcdserverpb::{ResponseHeader, TxnRequest};
use balsa_proto::etcd::v3lockpb::lock_server::Lock;
use balsa_proto::etcd::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use bytes::Bytes;
use tonic::{Request, Response, Status};

use super::Shared;
use super::turns::{self, Turns};

/// Stock etcd's words.
const SESSION_EXPIRED: &str = "mutex: session is expired";

pub struct LockService {
    turns: Turns,
}

impl LockService {
    pub fn new(shared: &Shared) -> Self {
        LockService { turns: Turns::new(shared) }
    }
}

/// A place in the queue whose owner has not got the lock yet: when he goes away, it goes.
struct Waiting {
    turns: Turns,
    place: Option<Bytes>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let turns = self.turns.clone();
        tokio::spawn(async move {
            if let Err(status) = turns.delete(place).await {
                tracing::info!(
                    message = status.message(),
                    "a place in a lock's queue stays until its lease ends"
                );
            }
        });
    }
}

#[tonic::async_trait]
impl Lock for LockService {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let turns = self.turns.of(&request);
        let LockRequest { name, lease } = request.into_inner();
        let lease = turns.lease(lease).await?;
        let key = turns::place(&name, lease);
        let header = acquire(&turns, &name, lease, &key).await?;
        Ok(Response::new(LockResponse { header, key }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        let turns = self.turns.of(&request);
        let header = turns.delete(request.into_inner().key).await?;
        Ok(Response::new(UnlockResponse { header }))
    }
}

async fn acquire(
    turns: &Turns,
    name: &[u8],
    lease: i64,
    key: &Bytes,
) -> Result<Option<ResponseHeader>, Status> {
    let prefix = turns::prefix(name);
    let holder = || turns::get(turns::first(prefix.clone(), SortOrder::Ascend));
    let entered = turns
        .txn(TxnRequest {
            compare: vec![turns::created_at(key.clone(), 0)],
            success: vec![turns::put(key.clone(), Bytes::new(), lease), holder()],
            failure: vec![turns::get(turns::one(key.clone())), holder()],
        })
        .await?;
    let own_revision = if entered.succeeded {
        turns::revision(&entered.header)
    } else {
        turns::found(&entered, 0).first().map_or(0, |own| own.create_revision)
    };
    if turns::found(&entered, 1).first().is_none_or(|holder| holder.create_revision == own_revision) {
        return Ok(entered.header);
    }
    let mut waiting = Waiting { turns: turns.clone(), place: Some(key.clone()) };
    turns.wait_for_turn(&prefix, own_revision - 1).await?;
    let own = turns.range(turns::one(key.clone())).await?;
    waiting.place = None;
    if own.kvs.is_empty() { Err(Status::unknown(SESSION_EXPIRED)) } else { Ok(own.header) }
}
