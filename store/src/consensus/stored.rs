//! What the state says of consensus, for those who read or write a state without a running raft: snapshot files.
//!
//! The records are those that apply keeps beside the data: the log id of the last applied entry, and the membership.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::MemberNode;
use super::codec::{self, DecodeError};
use super::types::{LeaderId, LogId, Membership, StoredMembership, Vote};

/// The place of a state in a raft log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub term: u64,
    /// Of raft, which counts from 0; the state and etcd count from 1.
    pub index: u64,
}

pub fn place(log_id: &Bytes) -> Result<Place, DecodeError> {
    let log_id = codec::decode_log_id(log_id)?;
    Ok(Place { term: log_id.leader_id.term, index: log_id.index })
}

/// The records of a new cluster whose state did not come from its own log. The log begins *behind* the place of that
/// state, so that a member without the state gets it as a snapshot and never replays the log onto nothing.
pub struct Seed {
    /// Where the log begins, for the log and for the state.
    pub(super) log_id: LogId,
    pub log_id_record: Bytes,
    pub membership: Bytes,
    pub(super) vote: Vote,
}

/// The place where the log of such a cluster begins.
pub const SEED_PLACE: Place = Place { term: 1, index: 0 };

pub fn seed(members: BTreeMap<u64, MemberNode>) -> Result<Seed, String> {
    let leader = *members.keys().next().ok_or("a cluster has a member")?;
    let leader_id = LeaderId { term: SEED_PLACE.term, node_id: leader };
    let log_id = LogId { leader_id, index: SEED_PLACE.index };
    let voters = vec![members.keys().copied().collect()];
    let membership = Membership::new(voters, members).map_err(|error| error.to_string())?;
    let stored = StoredMembership::new(Some(log_id), membership);
    // Nobody has won an election of that term: the first real one has a higher one.
    let vote = Vote { leader_id, committed: false };
    Ok(Seed {
        log_id,
        log_id_record: codec::encode_log_id(&log_id),
        membership: codec::encode_membership(&stored),
        vote,
    })
}
