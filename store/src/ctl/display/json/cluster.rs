//! Answers about members, endpoints and alarms.

use balsa_proto::etcd::etcdserverpb as pb;
use serde::Serialize;

use super::{Header, zero};
use crate::ctl::endpoint;

/// A number, or with `--hex` a word.
#[derive(Serialize, PartialEq)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Hex(String),
}

impl Id {
    fn new(id: u64, hex: bool) -> Option<Self> {
        (id != 0).then(|| if hex { Self::Hex(format!("{id:x}")) } else { Self::Number(id) })
    }
}

#[derive(Serialize)]
struct MembersHeader {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_id: Option<Id>,
    #[serde(skip_serializing_if = "zero")]
    revision: i64,
    #[serde(skip_serializing_if = "zero")]
    raft_term: u64,
}

#[derive(Serialize)]
pub(super) struct Members<'a> {
    header: MembersHeader,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Member<'a>>,
}

impl<'a> Members<'a> {
    pub(super) fn new(response: &'a pb::MemberListResponse, hex: bool) -> Self {
        let header = response.header.unwrap_or_default();
        Self {
            header: MembersHeader {
                cluster_id: Id::new(header.cluster_id, hex),
                member_id: Id::new(header.member_id, hex),
                revision: header.revision,
                raft_term: header.raft_term,
            },
            members: response.members.iter().map(|member| Member::new(member, hex)).collect(),
        }
    }
}

#[derive(Serialize)]
struct Member<'a> {
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(rename = "peerURLs", skip_serializing_if = "<[String]>::is_empty")]
    peer_urls: &'a [String],
    #[serde(rename = "clientURLs", skip_serializing_if = "<[String]>::is_empty")]
    client_urls: &'a [String],
    #[serde(rename = "isLearner", skip_serializing_if = "zero")]
    is_learner: bool,
}

impl<'a> Member<'a> {
    fn new(member: &'a pb::Member, hex: bool) -> Self {
        Self {
            id: Id::new(member.id, hex),
            name: &member.name,
            peer_urls: &member.peer_ur_ls,
            client_urls: &member.client_ur_ls,
            is_learner: member.is_learner,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Added<'a> {
    header: Header,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<Member<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Member<'a>>,
}

impl<'a> From<&'a pb::MemberAddResponse> for Added<'a> {
    fn from(response: &'a pb::MemberAddResponse) -> Self {
        Self {
            header: Header::from(&response.header),
            member: response.member.as_ref().map(|member| Member::new(member, false)),
            members: response.members.iter().map(|member| Member::new(member, false)).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct EndpointStatus<'a> {
    #[serde(rename = "Endpoint")]
    endpoint: &'a str,
    #[serde(rename = "Status")]
    status: Status<'a>,
}

pub(super) fn statuses(statuses: &[endpoint::Status]) -> Vec<EndpointStatus<'_>> {
    statuses
        .iter()
        .map(|status| EndpointStatus { endpoint: &status.endpoint, status: Status::from(&status.response) })
        .collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    header: Header,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "zero")]
    db_size: i64,
    #[serde(skip_serializing_if = "zero")]
    leader: u64,
    #[serde(skip_serializing_if = "zero")]
    raft_index: u64,
    #[serde(skip_serializing_if = "zero")]
    raft_term: u64,
    #[serde(skip_serializing_if = "zero")]
    raft_applied_index: u64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    errors: &'a [String],
    #[serde(skip_serializing_if = "zero")]
    db_size_in_use: i64,
    #[serde(skip_serializing_if = "zero")]
    is_learner: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    storage_version: &'a str,
    #[serde(skip_serializing_if = "zero")]
    db_size_quota: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    downgrade_info: Option<DowngradeInfo<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DowngradeInfo<'a> {
    #[serde(skip_serializing_if = "zero")]
    enabled: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    target_version: &'a str,
}

impl<'a> From<&'a pb::StatusResponse> for Status<'a> {
    fn from(response: &'a pb::StatusResponse) -> Self {
        Self {
            header: Header::from(&response.header),
            version: &response.version,
            db_size: response.db_size,
            leader: response.leader,
            raft_index: response.raft_index,
            raft_term: response.raft_term,
            raft_applied_index: response.raft_applied_index,
            errors: &response.errors,
            db_size_in_use: response.db_size_in_use,
            is_learner: response.is_learner,
            storage_version: &response.storage_version,
            db_size_quota: response.db_size_quota,
            downgrade_info: response
                .downgrade_info
                .as_ref()
                .map(|info| DowngradeInfo { enabled: info.enabled, target_version: &info.target_version }),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Health<'a> {
    endpoint: &'a str,
    health: bool,
    took: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(super) fn healths(healths: &[endpoint::Health]) -> Vec<Health<'_>> {
    healths
        .iter()
        .map(|health| Health {
            endpoint: &health.endpoint,
            health: health.error.is_none(),
            took: health.took_text(),
            error: health.error.as_deref(),
        })
        .collect()
}

#[derive(Serialize)]
pub(super) struct EndpointHashKv<'a> {
    #[serde(rename = "Endpoint")]
    endpoint: &'a str,
    #[serde(rename = "HashKV")]
    hash: HashKv,
}

#[derive(Serialize)]
struct HashKv {
    header: Header,
    #[serde(skip_serializing_if = "zero")]
    hash: u32,
    #[serde(skip_serializing_if = "zero")]
    compact_revision: i64,
    #[serde(skip_serializing_if = "zero")]
    hash_revision: i64,
}

pub(super) fn hashes(hashes: &[endpoint::HashKv]) -> Vec<EndpointHashKv<'_>> {
    hashes
        .iter()
        .map(|hash| EndpointHashKv {
            endpoint: &hash.endpoint,
            hash: HashKv {
                header: Header::from(&hash.response.header),
                hash: hash.response.hash,
                compact_revision: hash.response.compact_revision,
                hash_revision: hash.response.hash_revision,
            },
        })
        .collect()
}

#[derive(Serialize)]
pub(super) struct Alarms {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alarms: Vec<Alarm>,
}

#[derive(Serialize)]
struct Alarm {
    #[serde(rename = "memberID", skip_serializing_if = "zero")]
    member_id: u64,
    #[serde(skip_serializing_if = "zero")]
    alarm: i32,
}

impl From<&pb::AlarmResponse> for Alarms {
    fn from(response: &pb::AlarmResponse) -> Self {
        let alarm = |alarm: &pb::AlarmMember| Alarm { member_id: alarm.member_id, alarm: alarm.alarm };
        Self {
            // A server of 3.4 sends none.
            header: response.header.is_some().then(|| Header::from(&response.header)),
            alarms: response.alarms.iter().map(alarm).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Downgrade<'a> {
    header: Header,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
}

impl<'a> From<&'a pb::DowngradeResponse> for Downgrade<'a> {
    fn from(response: &'a pb::DowngradeResponse) -> Self {
        Self { header: Header::from(&response.header), version: &response.version }
    }
}
