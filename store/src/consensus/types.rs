//! The types that openraft is told to work with, and their names here.
//!
//! Nothing outside of `consensus` names an openraft type.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::apply::Reply;
use crate::error::Error;

openraft::declare_raft_types!(
    /// Raft as the store uses it: entries are encoded command batches.
    pub TypeConfig:
        D = EncodedBatch,
        R = BatchReply,
        NodeId = u64,
        Node = MemberNode,
);

pub type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
pub type LogId = openraft::LogId<LeaderId>;
pub type Vote = openraft::Vote<LeaderId>;
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub type Payload = openraft::EntryPayload<EncodedBatch, u64, MemberNode>;
pub type Membership = openraft::Membership<u64, MemberNode>;
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// A `CommandBatch` as it stands in the log.
///
/// openraft asks for serde on all of its types; the batch travels and rests through `codec` alone, so the serde
/// form carries nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedBatch {
    #[serde(skip)]
    pub bytes: Bytes,
}

impl fmt::Debug for EncodedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {} bytes", self.bytes.len())
    }
}

impl fmt::Display for EncodedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One reply per command of a batch, in order. Never leaves the process in this form.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct BatchReply {
    #[serde(skip)]
    pub replies: Vec<Result<Reply, Error>>,
}

/// What the membership says of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberNode {
    pub name: String,
    pub peer_urls: Vec<String>,
}

/// The members of a new cluster.
pub type InitialMembers = BTreeMap<u64, MemberNode>;

/// What this member knows of the cluster's leadership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leadership {
    pub term: u64,
    pub leader: Option<u64>,
    pub is_leader: bool,
}

/// A member as the membership knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    pub id: u64,
    pub node: Arc<MemberNode>,
    pub is_learner: bool,
}
