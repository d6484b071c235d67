//! `--force-new-cluster`: a member goes on alone with what its disk holds.
//!
//! Done in the log, before raft starts: an entry that makes this member the only voter, and a command that removes the
//! others from the table. Both take effect the usual way, so that a crash in between, a restart or a snapshot need no
//! care of their own. What the log holds beyond the commit point is kept: it may have been acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use balsa_proto::store::command::Op;
use balsa_proto::store::{CommandBatch, MemberRecord};
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use prost::Message;

use super::MemberNode;
use super::log_store::LogStore;
use super::types::{EncodedBatch, Entry, LeaderId, LogId, Membership, Payload, Vote};
use crate::auth::Caller;

pub async fn append(log: &mut LogStore, member: MemberRecord) -> io::Result<()> {
    let id = member.member_id;
    let last = log.get_log_state().await?.last_log_id;
    let vote = log.get_log_reader().await.read_vote().await?;
    let newest = vote.map_or(0, |vote| vote.leader_id.term).max(last.map_or(0, |last| last.leader_id.term));
    // A term of its own: whoever led before must not be taken for the author of these entries.
    let leader_id = LeaderId { term: newest + 1, node_id: id };
    let first = last.map_or(0, |last| last.index + 1);
    let entry = |offset, payload| Entry { log_id: LogId { leader_id, index: first + offset }, payload };
    let entries =
        [entry(0, Payload::Membership(alone(&member)?)), entry(1, Payload::Normal(forget_others(member)))];
    log.save_vote(&Vote { leader_id, committed: false }).await?;
    log.blocking_append(entries).await.map_err(io::Error::other)
}

fn alone(member: &MemberRecord) -> io::Result<Membership> {
    let node = MemberNode { name: member.name.clone(), peer_urls: member.peer_urls.clone() };
    let voters = vec![BTreeSet::from([member.member_id])];
    Membership::new(voters, BTreeMap::from([(member.member_id, node)])).map_err(io::Error::other)
}

fn forget_others(member: MemberRecord) -> EncodedBatch {
    let command = Caller::Server.command(0, Op::SoleMember(member));
    EncodedBatch { bytes: CommandBatch { commands: vec![command] }.encode_to_vec().into() }
}
