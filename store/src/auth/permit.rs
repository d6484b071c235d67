//! May this caller do that? The same answer where a request arrives and where its command is applied.
//!
//! | what | needs |
//! |---|---|
//! | read, compare, `prev_kv`, watch | `READ` on every key of the range |
//! | put, delete | `WRITE` on every key of the range |
//! | put with a lease, revoke, keep alive | `WRITE` on every key that the lease holds, too |
//! | lease grant | to be a user |
//! | compaction, users, roles | the role `root` |
//!
//! Both branches of a transaction count, at every depth: which one is taken must not be told by a refusal.

use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};
use balsa_proto::store::command::Op;
use bytes::Bytes;

use super::{AuthState, Caller};
use crate::error::Error;
use crate::lease::Lessor;

/// One caller before one state.
#[derive(Debug, Clone, Copy)]
pub struct Permit<'a> {
    pub state: &'a AuthState,
    pub caller: &'a Caller,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl<'a> Permit<'a> {
    /// Nothing is asked of the cluster itself, nor of anybody while access control is off.
    fn is_free(&self) -> bool {
        !self.state.is_enabled() || *self.caller == Caller::Server
    }

    /// Whoever it is, he is one of the users.
    pub fn user(&self) -> Result<(), Error> {
        match self.caller {
            _ if self.is_free() => Ok(()),
            Caller::Server | Caller::Nobody => Err(Error::UserEmpty),
            Caller::User { name, .. } => self.state.user(name).map(|_| ()).ok_or(Error::PermissionDenied),
        }
    }

    /// Not bound to the auth revision: the role is looked up as it is now.
    pub fn root(&self) -> Result<(), Error> {
        match self.caller {
            _ if self.is_free() => Ok(()),
            Caller::Server | Caller::Nobody => Err(Error::UserEmpty),
            Caller::User { name, .. } => match self.state.grants(name) {
                None => Err(Error::UserNotFound),
                Some(grants) if grants.root => Ok(()),
                Some(_) => Err(Error::PermissionDenied),
            },
        }
    }

    pub fn read(&self, key: &Bytes, range_end: &Bytes) -> Result<(), Error> {
        self.keys(Access::Read, key, range_end)
    }

    pub fn write(&self, key: &Bytes, range_end: &Bytes) -> Result<(), Error> {
        self.keys(Access::Write, key, range_end)
    }

    fn keys(&self, access: Access, key: &Bytes, range_end: &Bytes) -> Result<(), Error> {
        if self.is_free() {
            return Ok(());
        }
        let Caller::User { name, auth_revision } = self.caller else { return Err(Error::UserEmpty) };
        if *auth_revision < self.state.revision() {
            return Err(Error::AuthOldRevision);
        }
        let grants = self.state.grants(name).ok_or(Error::PermissionDenied)?;
        let ranges = match access {
            Access::Read => &grants.read,
            Access::Write => &grants.write,
        };
        if grants.root || ranges.cover(key, range_end) { Ok(()) } else { Err(Error::PermissionDenied) }
    }

    pub fn range(&self, request: &RangeRequest) -> Result<(), Error> {
        self.read(&request.key, &request.range_end)
    }

    /// Attaching a key to a lease that one could not end would let others end it by ending the lease.
    pub fn put(&self, request: &PutRequest, lessor: &Lessor) -> Result<(), Error> {
        self.write(&request.key, &Bytes::new())?;
        self.lease_write(request.lease, lessor)?;
        if request.prev_kv { self.read(&request.key, &Bytes::new()) } else { Ok(()) }
    }

    pub fn delete_range(&self, request: &DeleteRangeRequest) -> Result<(), Error> {
        self.write(&request.key, &request.range_end)?;
        if request.prev_kv { self.read(&request.key, &request.range_end) } else { Ok(()) }
    }

    pub fn txn(&self, request: &TxnRequest, lessor: &Lessor) -> Result<(), Error> {
        if self.is_free() {
            return Ok(());
        }
        request.compare.iter().try_for_each(|compare| self.read(&compare.key, &compare.range_end))?;
        request.success.iter().chain(&request.failure).try_for_each(|op| self.op(op, lessor))
    }

    fn op(&self, op: &RequestOp, lessor: &Lessor) -> Result<(), Error> {
        match &op.request {
            Some(Request::RequestRange(request)) => self.range(request),
            Some(Request::RequestPut(request)) => self.put(request, lessor),
            Some(Request::RequestDeleteRange(request)) => self.delete_range(request),
            Some(Request::RequestTxn(request)) => self.txn(request, lessor),
            None => Ok(()),
        }
    }

    /// Every key of the lease may be written, which is what its end does. No lease, no keys.
    pub fn lease_write(&self, lease: i64, lessor: &Lessor) -> Result<(), Error> {
        self.lease_keys(Access::Write, lease, lessor)
    }

    pub fn lease_read(&self, lease: i64, lessor: &Lessor) -> Result<(), Error> {
        self.lease_keys(Access::Read, lease, lessor)
    }

    fn lease_keys(&self, access: Access, lease: i64, lessor: &Lessor) -> Result<(), Error> {
        if lease == 0 || self.root().is_ok() {
            return Ok(());
        }
        lessor.keys(lease).iter().try_for_each(|key| self.keys(access, key, &Bytes::new()))
    }

    /// What a command needs, at every member alike.
    pub fn command(&self, op: &Op, lessor: &Lessor) -> Result<(), Error> {
        if self.is_free() {
            return Ok(());
        }
        match op {
            Op::Put(request) => self.put(request, lessor),
            Op::DeleteRange(request) => self.delete_range(request),
            Op::Txn(request) => self.txn(request, lessor),
            Op::LeaseGrant(_) => self.user(),
            Op::LeaseRevoke(request) => {
                self.user()?;
                self.lease_write(request.id, lessor)
            }
            // The password was the permission.
            Op::IssueToken(_) => Ok(()),
            Op::Compaction(_)
            | Op::LeaseCheckpoint(_)
            | Op::Alarm(_)
            | Op::MemberAttributes(_)
            | Op::MemberAdd(_)
            | Op::MemberRemove(_)
            | Op::MemberUpdate(_)
            | Op::MemberPromote(_)
            | Op::SoleMember(_)
            | Op::AuthEnable(_)
            | Op::AuthDisable(_)
            | Op::UserAdd(_)
            | Op::UserChangePassword(_)
            | Op::UserDelete(_)
            | Op::UserGrantRole(_)
            | Op::UserRevokeRole(_)
            | Op::RoleAdd(_)
            | Op::RoleDelete(_)
            | Op::RoleGrantPermission(_)
            | Op::RoleRevokePermission(_) => self.root(),
        }
    }
}

#[cfg(test)]
#[path = "permit_test.rs"]
mod tests;
