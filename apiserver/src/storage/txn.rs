//! The three writes, each one guarded Txn.
//!
//! Create: if mod(key)=0 then Put. Update: if mod(key)=rev then Put else Range. Delete: if mod(key)=rev then
//! DeleteRange else Range. Claims add compares (`create(claim)=0`) and puts or deletes to the same Txn.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use balsa_proto::etcd::etcdserverpb::{request_op::Request, response_op::Response};
use bytes::Bytes;

use super::{Store, StoreError, Stored, stored};

/// Full etcd keys that live and die with an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    /// Must not exist; made with these values.
    pub take: Vec<(String, Bytes)>,
    /// Removed.
    pub release: Vec<String>,
}

/// The state that a write is based on.
#[derive(Debug, Clone)]
pub struct Guard<'k> {
    pub key: &'k str,
    pub revision: u64,
}

impl Store {
    /// Makes a key that must not exist; returns its revision.
    pub async fn create(
        &self,
        key: &str,
        value: Bytes,
        expires: bool,
        claims: &Claims,
    ) -> Result<u64, StoreError> {
        let lease = if expires { self.leases.for_event().await? } else { 0 };
        let guard = Guard { key, revision: 0 };
        let outcome = self.guarded(&guard, put(key, value.clone(), lease), claims).await;
        match outcome {
            Err(StoreError::Other(why)) if lease != 0 && why.contains("lease not found") => {
                self.leases.forget().await;
                let lease = self.leases.for_event().await?;
                self.guarded(&guard, put(key, value, lease), claims).await
            }
            Err(StoreError::Conflict { .. }) => Err(StoreError::Exists),
            other => other,
        }
    }

    /// Replaces the value that was written at the guard's revision.
    pub async fn update(
        &self,
        guard: &Guard<'_>,
        value: Bytes,
        expires: bool,
        claims: &Claims,
    ) -> Result<u64, StoreError> {
        let lease = if expires { self.leases.for_event().await? } else { 0 };
        self.guarded(guard, put(guard.key, value, lease), claims).await
    }

    /// Removes the key as written at the guard's revision; returns the revision of the deletion.
    pub async fn delete(&self, guard: &Guard<'_>, claims: &Claims) -> Result<u64, StoreError> {
        self.guarded(guard, delete(guard.key), claims).await
    }

    async fn guarded(&self, guard: &Guard<'_>, write: Request, claims: &Claims) -> Result<u64, StoreError> {
        let mut request = pb::TxnRequest {
            compare: vec![mod_revision_is(guard.key, guard.revision)],
            success: vec![op(write)],
            failure: vec![op(read(guard.key))],
        };
        for (key, value) in &claims.take {
            request.compare.push(mod_revision_is(key, 0));
            request.success.push(op(put(key, value.clone(), 0)));
            request.failure.push(op(read(key)));
        }
        request.success.extend(claims.release.iter().map(|key| op(delete(key))));
        let response = self.txn_call(request).await?;
        if response.succeeded {
            return Ok(response.header.map_or(0, |header| header.revision as u64));
        }
        Err(why_refused(guard, claims, response))
    }
}

/// Reads the Else branch: the object first, then each claim.
fn why_refused(guard: &Guard<'_>, claims: &Claims, response: pb::TxnResponse) -> StoreError {
    let mut found = response.responses.into_iter().map(found_value);
    let current = found.next().flatten();
    if current.as_ref().map_or(0, |current| current.revision) != guard.revision {
        return StoreError::Conflict { current };
    }
    let taken = claims.take.iter().zip(found).find(|(_, existing)| existing.is_some());
    match taken {
        Some(((key, _), _)) => StoreError::ClaimTaken { key: key.clone() },
        None => StoreError::Conflict { current },
    }
}

fn found_value(response: pb::ResponseOp) -> Option<Stored> {
    match response.response {
        Some(Response::ResponseRange(mut range)) => range.kvs.pop().map(stored),
        _ => None,
    }
}

fn mod_revision_is(key: &str, revision: u64) -> pb::Compare {
    pb::Compare {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Mod as i32,
        key: key.to_owned().into(),
        target_union: Some(TargetUnion::ModRevision(revision as i64)),
        range_end: Bytes::new(),
    }
}

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn put(key: &str, value: Bytes, lease: i64) -> Request {
    Request::RequestPut(pb::PutRequest { key: key.to_owned().into(), value, lease, ..Default::default() })
}

fn delete(key: &str) -> Request {
    Request::RequestDeleteRange(pb::DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() })
}

fn read(key: &str) -> Request {
    Request::RequestRange(pb::RangeRequest { key: key.to_owned().into(), limit: 1, ..Default::default() })
}
