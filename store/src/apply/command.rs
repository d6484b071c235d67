//! From a command to the file that does it.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::store::{Command, MemberRecord, command::Op};

use super::applier::ApplyOptions;
use super::{
    alarm, capped, compact, delete_range, lease_checkpoint, lease_grant, lease_revoke, members, put, txn,
};
use crate::error::Error;
use crate::lease::Lessor;
use crate::mvcc::read::ReadError;
use crate::mvcc::write::{Changed, Writer};

/// What a command answers. Headers carry the revision only; the server fills in the rest.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Put(pb::PutResponse),
    DeleteRange(pb::DeleteRangeResponse),
    Txn(pb::TxnResponse),
    Compaction(pb::CompactionResponse),
    LeaseGrant(pb::LeaseGrantResponse),
    LeaseRevoke(pb::LeaseRevokeResponse),
    Alarm(pb::AlarmResponse),
    /// All members, after a change.
    Members(Vec<MemberRecord>),
    /// Of a command that no client waits for.
    Done,
}

/// What commands work on.
#[derive(Debug)]
pub struct Core {
    pub writer: Writer,
    pub lessor: Lessor,
    pub options: ApplyOptions,
}

impl Core {
    /// Ends the change set of one command and moves keys between leases accordingly.
    pub fn finish(&mut self, unix_ms: i64) -> Vec<Changed> {
        let changes = self.writer.finish(unix_ms);
        for change in &changes {
            self.lessor.moved(&change.kv.key, change.previous_lease, change.kv.lease);
        }
        changes
    }
}

/// Does one command. An error of the client kind means that nothing was changed.
pub fn apply(core: &mut Core, command: &Command) -> Result<Reply, ReadError> {
    if let Some(op) = &command.op {
        capped::check(core.writer.alarms(), op)?;
    }
    match &command.op {
        Some(Op::Put(request)) => put::apply(core, request).map(Reply::Put),
        Some(Op::DeleteRange(request)) => delete_range::apply(core, request).map(Reply::DeleteRange),
        Some(Op::Txn(request)) => txn::apply(core, request).map(Reply::Txn),
        Some(Op::Compaction(request)) => compact::apply(core, request).map(Reply::Compaction),
        Some(Op::LeaseGrant(request)) => lease_grant::apply(core, request).map(Reply::LeaseGrant),
        Some(Op::LeaseRevoke(request)) => lease_revoke::apply(core, request).map(Reply::LeaseRevoke),
        Some(Op::LeaseCheckpoint(request)) => Ok(lease_checkpoint::apply(core, request)),
        Some(Op::Alarm(request)) => Ok(Reply::Alarm(alarm::apply(core, request))),
        Some(Op::MemberAttributes(attributes)) => Ok(members::describe(core, attributes)?),
        Some(Op::MemberAdd(request)) => Ok(members::add(core, request)?),
        Some(Op::MemberRemove(request)) => Ok(members::remove(core, request.member_id)?),
        Some(Op::MemberUpdate(request)) => Ok(members::update(core, request)?),
        Some(Op::MemberPromote(request)) => Ok(members::promote(core, request.member_id)?),
        Some(Op::SoleMember(member)) => Ok(members::sole_member(core, member)?),
        // Of a newer version: every member of this version refuses it alike.
        None => Err(Error::NotCapable.into()),
    }
}
