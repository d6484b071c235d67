//! How an answer looks in each format. What stock etcdctl has no look for is refused in its words.

pub mod fields;
pub mod json;
pub mod protobuf;
pub mod simple;
pub mod table;

use balsa_proto::etcd::etcdserverpb as pb;

use super::endpoint::{HashKv, Health, Status};
use super::failure::{BAD_FEATURE, Failure};
use super::flags::{Flags, Format};

/// What a verb found out.
#[derive(Debug)]
pub enum Answer {
    Get {
        response: pb::RangeResponse,
        value_only: bool,
    },
    Put(pb::PutResponse),
    Del(pb::DeleteRangeResponse),
    Txn(pb::TxnResponse),
    Watch(pb::WatchResponse),
    LeaseGrant(pb::LeaseGrantResponse),
    LeaseRevoke {
        id: i64,
        response: pb::LeaseRevokeResponse,
    },
    LeaseTimeToLive {
        response: pb::LeaseTimeToLiveResponse,
        keys: bool,
    },
    LeaseList(pb::LeaseLeasesResponse),
    LeaseKeepAlive(pb::LeaseKeepAliveResponse),
    MemberList(pb::MemberListResponse),
    MemberAdd {
        name: String,
        response: pb::MemberAddResponse,
    },
    /// Removed, updated or promoted: `done` is the word. The response has the members that there are now.
    MemberChange {
        id: u64,
        done: &'static str,
        response: pb::MemberListResponse,
    },
    EndpointStatus(Vec<Status>),
    EndpointHealth(Vec<Health>),
    EndpointHashKv(Vec<HashKv>),
    Alarms(pb::AlarmResponse),
    MoveLeader {
        from: u64,
        to: u64,
    },
    Downgrade {
        action: &'static str,
        response: pb::DowngradeResponse,
    },
    AuthStatus(pb::AuthStatusResponse),
    RoleGet {
        role: String,
        response: pb::AuthRoleGetResponse,
    },
    RoleList(pb::AuthRoleListResponse),
    UserGet {
        user: String,
        response: pb::AuthUserGetResponse,
    },
    UserList(pb::AuthUserListResponse),
    /// A response that is a header and nothing else; `text` is its sentence.
    Done {
        text: String,
        header: Option<pb::ResponseHeader>,
    },
}

#[derive(Debug, Clone, Copy)]
pub struct Display {
    format: Format,
    hex: bool,
}

impl Display {
    pub fn new(flags: &Flags) -> Self {
        Self { format: flags.format(), hex: flags.hex }
    }

    /// What goes to stdout, with its line ends.
    pub fn show(&self, answer: &Answer) -> Result<Vec<u8>, Failure> {
        match self.format {
            Format::Simple => Ok(simple::show(answer, self.hex).into()),
            Format::Json => Ok(json::show(answer, self.hex).into()),
            Format::Fields => supported(fields::show(answer, self.hex).map(String::into_bytes), "fields"),
            Format::Table => supported(table::show(answer).map(String::into_bytes), "table"),
            Format::Protobuf => supported(protobuf::show(answer), "protobuf"),
        }
    }
}

fn supported(shown: Option<Vec<u8>>, format: &str) -> Result<Vec<u8>, Failure> {
    shown.ok_or_else(|| Failure::new(BAD_FEATURE, format!("{format} not supported as output format")))
}

/// Bytes that are not text print as the replacement character: a terminal could do no better.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn status_word(member: &pb::Member) -> &'static str {
    if member.name.is_empty() { "unstarted" } else { "started" }
}

pub(super) fn alarm_word(alarm: &pb::AlarmMember) -> &'static str {
    match pb::AlarmType::try_from(alarm.alarm) {
        Ok(kind) => kind.as_str_name(),
        Err(_) => "UNKNOWN",
    }
}

/// How much of the file holds nothing, in percent.
pub(super) fn unused_percent(status: &pb::StatusResponse) -> i64 {
    match status.db_size {
        ..=0 => 0,
        size => (100.0 * (1.0 - status.db_size_in_use as f64 / size as f64)).round() as i64,
    }
}
