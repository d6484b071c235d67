//! From a command to the file that does it.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::store::{AuthChanged, Command, MemberRecord, command::Op};

use super::applier::ApplyOptions;
use super::{
    alarm, auth, capped, compact, delete_range, lease_checkpoint, lease_grant, lease_revoke, members, put,
    txn,
};
use crate::auth::{Caller, Permit, SimpleTokens};
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
    Auth(AuthChanged),
    /// Of a command that no client waits for.
    Done,
}

/// What commands work on.
#[derive(Debug)]
pub struct Core {
    pub writer: Writer,
    pub lessor: Lessor,
    /// This member's memory of the tokens that commands gave out.
    pub tokens: SimpleTokens,
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

/// Does one command, if its caller may. An error of the client kind means that nothing was changed.
pub fn apply(core: &mut Core, log_index: u64, command: &Command) -> Result<Reply, ReadError> {
    // Of a newer version: every member of this version refuses it alike.
    let Some(op) = &command.op else { return Err(Error::NotCapable.into()) };
    if core.writer.auth().is_enabled() {
        let permit = Permit { state: core.writer.auth(), caller: &Caller::of(command) };
        permit.command(op, &core.lessor)?;
    }
    capped::check(core.writer.alarms(), op)?;
    match op {
        Op::Put(request) => put::apply(core, request).map(Reply::Put),
        Op::DeleteRange(request) => delete_range::apply(core, request).map(Reply::DeleteRange),
        Op::Txn(request) => txn::apply(core, request).map(Reply::Txn),
        Op::Compaction(request) => compact::apply(core, request).map(Reply::Compaction),
        Op::LeaseGrant(request) => lease_grant::apply(core, request).map(Reply::LeaseGrant),
        Op::LeaseRevoke(request) => lease_revoke::apply(core, request).map(Reply::LeaseRevoke),
        Op::LeaseCheckpoint(request) => Ok(lease_checkpoint::apply(core, request)),
        Op::Alarm(request) => Ok(Reply::Alarm(alarm::apply(core, request))),
        Op::MemberAttributes(attributes) => Ok(members::describe(core, attributes)?),
        Op::MemberAdd(request) => Ok(members::add(core, request)?),
        Op::MemberRemove(request) => Ok(members::remove(core, request.member_id)?),
        Op::MemberUpdate(request) => Ok(members::update(core, request)?),
        Op::MemberPromote(request) => Ok(members::promote(core, request.member_id)?),
        Op::SoleMember(member) => Ok(members::sole_member(core, member)?),
        Op::IssueToken(request) => Ok(Reply::Auth(auth::issue_token(core, log_index, request)?)),
        Op::AuthEnable(_)
        | Op::AuthDisable(_)
        | Op::UserAdd(_)
        | Op::UserChangePassword(_)
        | Op::UserDelete(_)
        | Op::UserGrantRole(_)
        | Op::UserRevokeRole(_)
        | Op::RoleAdd(_)
        | Op::RoleDelete(_)
        | Op::RoleGrantPermission(_)
        | Op::RoleRevokePermission(_) => Ok(Reply::Auth(auth::apply(core, op)?)),
    }
}
