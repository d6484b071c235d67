//! Replies to forwarded commands as protobuf, and back.

use balsa_proto::store::command_reply::Reply as Wire;
use balsa_proto::store::{CommandDone, CommandReply, MemberRecords, ProposeResponse};

use super::proposer::CommandResult;
use crate::apply::Reply;
use crate::error::Error;

pub fn replies_to(replies: Vec<CommandResult>, applied_index: u64) -> ProposeResponse {
    ProposeResponse { replies: replies.into_iter().map(reply_to).collect(), applied_index }
}

/// `None` when the answer does not fit the question: another version speaks there.
pub fn replies_from(response: ProposeResponse, count: usize) -> Option<Vec<CommandResult>> {
    let replies: Option<Vec<_>> = response.replies.into_iter().map(reply_from).collect();
    replies.filter(|replies| replies.len() == count)
}

fn reply_to(reply: CommandResult) -> CommandReply {
    let reply = match reply {
        Err(error) => Wire::Error(error.text().to_owned()),
        Ok(Reply::Put(reply)) => Wire::Put(reply),
        Ok(Reply::DeleteRange(reply)) => Wire::DeleteRange(reply),
        Ok(Reply::Txn(reply)) => Wire::Txn(reply),
        Ok(Reply::Compaction(reply)) => Wire::Compaction(reply),
        Ok(Reply::LeaseGrant(reply)) => Wire::LeaseGrant(reply),
        Ok(Reply::LeaseRevoke(reply)) => Wire::LeaseRevoke(reply),
        Ok(Reply::Members(members)) => Wire::Members(MemberRecords { members }),
        Ok(Reply::Alarm(reply)) => Wire::Alarm(reply),
        Ok(Reply::Auth(reply)) => Wire::Auth(reply),
        Ok(Reply::Done) => Wire::Done(CommandDone {}),
    };
    CommandReply { reply: Some(reply) }
}

fn reply_from(reply: CommandReply) -> Option<CommandResult> {
    Some(match reply.reply? {
        Wire::Error(text) => Err(Error::ALL.iter().copied().find(|error| error.text() == text)?),
        Wire::Put(reply) => Ok(Reply::Put(reply)),
        Wire::DeleteRange(reply) => Ok(Reply::DeleteRange(reply)),
        Wire::Txn(reply) => Ok(Reply::Txn(reply)),
        Wire::Compaction(reply) => Ok(Reply::Compaction(reply)),
        Wire::LeaseGrant(reply) => Ok(Reply::LeaseGrant(reply)),
        Wire::LeaseRevoke(reply) => Ok(Reply::LeaseRevoke(reply)),
        Wire::Members(MemberRecords { members }) => Ok(Reply::Members(members)),
        Wire::Alarm(reply) => Ok(Reply::Alarm(reply)),
        Wire::Auth(reply) => Ok(Reply::Auth(reply)),
        Wire::Done(CommandDone {}) => Ok(Reply::Done),
    })
}
