//! Keeps etcd's history to the last interval or two, as the stock apiserver does.
//!
//! All apiservers race for the key `compact_rev_key`; its version says which round it is. The winner of a round
//! writes the revision of now and compacts at the revision of one interval ago; losers learn the round.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use balsa_proto::etcd::etcdserverpb::{request_op::Request, response_op::Response};
use tokio_util::sync::CancellationToken;

use super::{Store, StoreError, kv};
use crate::limits;

const KEY: &str = "compact_rev_key";

pub struct Compactor {
    store: Store,
    /// Version of the key when we last saw it.
    round: i64,
    /// The store's revision one interval ago; 0 at first.
    revision: i64,
}

impl Compactor {
    pub fn new(store: Store) -> Compactor {
        Compactor { store, round: 0, revision: 0 }
    }

    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(limits::COMPACTION_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => return,
            }
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "compaction of etcd's history failed; trying again later");
            }
        }
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        let response = self.store.txn_call(self.claim_round()).await?;
        let now = response.header.as_ref().map_or(0, |header| header.revision);
        if !response.succeeded {
            self.round = seen_version(response);
            self.revision = now;
            return Ok(());
        }
        self.round += 1;
        let target = std::mem::replace(&mut self.revision, now);
        if target == 0 {
            return Ok(());
        }
        let request = pb::CompactionRequest { revision: target, physical: false };
        let call = |channel| async move { kv(channel).compact(request).await };
        // Again elsewhere does no harm: what is compacted stays so.
        match self.store.members.repeatable(call).await {
            Ok(_) | Err(StoreError::Compacted) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn claim_round(&self) -> pb::TxnRequest {
        let compare = pb::Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Version as i32,
            key: KEY.into(),
            target_union: Some(TargetUnion::Version(self.round)),
            ..Default::default()
        };
        let put =
            pb::PutRequest { key: KEY.into(), value: self.revision.to_string().into(), ..Default::default() };
        let read = pb::RangeRequest { key: KEY.into(), ..Default::default() };
        pb::TxnRequest {
            compare: vec![compare],
            success: vec![pb::RequestOp { request: Some(Request::RequestPut(put)) }],
            failure: vec![pb::RequestOp { request: Some(Request::RequestRange(read)) }],
        }
    }
}

fn seen_version(response: pb::TxnResponse) -> i64 {
    let first = response.responses.into_iter().next().and_then(|op| op.response);
    match first {
        Some(Response::ResponseRange(range)) => range.kvs.first().map_or(0, |kv| kv.version),
        _ => 0,
    }
}
