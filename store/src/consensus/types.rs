//! The types that openraft is told to work with, and their names here.
//!
//! Nothing outside of `consensus` names an openraft type.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::MemberNode;
use super::runtime::Runtime;
use crate::apply::Reply;
use crate::error::Error;

openraft::declare_raft_types!(
    /// Raft as the store uses it: entries are encoded command batches.
    pub TypeConfig:
        D = EncodedBatch,
        R = BatchReply,
        NodeId = u64,
        Node = MemberNode,
        AsyncRuntime = Runtime,
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
