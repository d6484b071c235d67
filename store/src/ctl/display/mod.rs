//! How an answer looks in each format.

pub mod fields;
pub mod json;
pub mod simple;
pub mod table;

use balsa_proto::etcd::etcdserverpb as pb;

use super::endpoint::{Health, Status};
use super::failure::{BAD_FEATURE, Failure};
use super::flags::{Flags, Format};

/// What a verb found out.
#[derive(Debug)]
pub enum Answer {
    Get { response: pb::RangeResponse, value_only: bool },
    Put(pb::PutResponse),
    Del(pb::DeleteRangeResponse),
    Txn(pb::TxnResponse),
    Watch(pb::WatchResponse),
    LeaseGrant(pb::LeaseGrantResponse),
    LeaseRevoke { id: i64, response: pb::LeaseRevokeResponse },
    LeaseTimeToLive { response: pb::LeaseTimeToLiveResponse, keys: bool },
    LeaseList(pb::LeaseLeasesResponse),
    LeaseKeepAlive(pb::LeaseKeepAliveResponse),
    MemberList(pb::MemberListResponse),
    EndpointStatus(Vec<Status>),
    EndpointHealth(Vec<Health>),
}

#[derive(Debug, Clone, Copy)]
pub struct Display {
    format: Format,
    hex: bool,
}

impl Display {
    pub fn new(flags: &Flags) -> Self {
        Self { format: flags.write_out, hex: flags.hex }
    }

    /// The text, with its line ends.
    pub fn show(&self, answer: &Answer) -> Result<String, Failure> {
        match self.format {
            Format::Simple => Ok(simple::show(answer, self.hex)),
            Format::Json => Ok(json::show(answer)),
            Format::Fields => Ok(fields::show(answer)),
            Format::Table => table::show(answer)
                .ok_or_else(|| Failure::new(BAD_FEATURE, "table not supported as output format")),
        }
    }
}

/// Bytes that are not text print as the replacement character: a terminal could do no better.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn status_word(member: &pb::Member) -> &'static str {
    if member.name.is_empty() { "unstarted" } else { "started" }
}
