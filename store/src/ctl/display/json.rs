//! The format for programs: field names, order and omissions as in stock etcdctl, bytes in base64.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::response_op::Response;
use balsa_proto::etcd::mvccpb;
use base64::Engine;
use serde::Serialize;

use super::Answer;
use crate::ctl::duration;

pub fn show(answer: &Answer) -> String {
    let text = match answer {
        Answer::Get { response, .. } => serde_json::to_string(&Get::from(response)),
        Answer::Put(response) => serde_json::to_string(&Put::from(response)),
        Answer::Del(response) => serde_json::to_string(&Del::from(response)),
        Answer::Txn(response) => serde_json::to_string(&Txn::from(response)),
        Answer::Watch(response) => serde_json::to_string(&Watch::from(response)),
        Answer::LeaseGrant(lease) => serde_json::to_string(&Grant {
            header: Header::from(&lease.header),
            id: lease.id,
            ttl: lease.ttl,
            error: &lease.error,
        }),
        Answer::LeaseRevoke { response, .. } => {
            serde_json::to_string(&OnlyHeader { header: Header::from(&response.header) })
        }
        Answer::LeaseTimeToLive { response, .. } => serde_json::to_string(&TimeToLive::from(response)),
        Answer::LeaseList(response) => serde_json::to_string(&Leases {
            header: Header::from(&response.header),
            leases: response.leases.iter().map(|lease| LeaseId { id: lease.id }).collect(),
        }),
        Answer::LeaseKeepAlive(lease) => serde_json::to_string(&KeepAlive {
            header: Header::from(&lease.header),
            id: lease.id,
            ttl: lease.ttl,
        }),
        Answer::MemberList(response) => serde_json::to_string(&Members {
            header: Header::from(&response.header),
            members: response.members.iter().map(Member::from).collect(),
        }),
        Answer::EndpointStatus(statuses) => {
            let statuses: Vec<_> = statuses
                .iter()
                .map(|status| EndpointStatus {
                    endpoint: &status.endpoint,
                    status: Status::from(&status.response),
                })
                .collect();
            serde_json::to_string(&statuses)
        }
        Answer::EndpointHealth(healths) => {
            let healths: Vec<_> = healths
                .iter()
                .map(|health| Health {
                    endpoint: &health.endpoint,
                    health: health.error.is_none(),
                    took: duration::print(health.took),
                    error: health.error.as_deref(),
                })
                .collect();
            serde_json::to_string(&healths)
        }
    };
    text.expect("plain structs with text keys serialize") + "\n"
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Serialize, Default)]
struct Header {
    #[serde(skip_serializing_if = "zero")]
    cluster_id: u64,
    #[serde(skip_serializing_if = "zero")]
    member_id: u64,
    #[serde(skip_serializing_if = "zero")]
    revision: i64,
    #[serde(skip_serializing_if = "zero")]
    raft_term: u64,
}

impl From<&Option<pb::ResponseHeader>> for Header {
    fn from(header: &Option<pb::ResponseHeader>) -> Self {
        let Some(header) = header else { return Self::default() };
        Self {
            cluster_id: header.cluster_id,
            member_id: header.member_id,
            revision: header.revision,
            raft_term: header.raft_term,
        }
    }
}

#[derive(Serialize)]
struct KeyValue {
    #[serde(skip_serializing_if = "zero")]
    key: String,
    #[serde(skip_serializing_if = "zero")]
    create_revision: i64,
    #[serde(skip_serializing_if = "zero")]
    mod_revision: i64,
    #[serde(skip_serializing_if = "zero")]
    version: i64,
    #[serde(skip_serializing_if = "zero")]
    value: String,
    #[serde(skip_serializing_if = "zero")]
    lease: i64,
}

impl From<&mvccpb::KeyValue> for KeyValue {
    fn from(kv: &mvccpb::KeyValue) -> Self {
        Self {
            key: base64(&kv.key),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            value: base64(&kv.value),
            lease: kv.lease,
        }
    }
}

#[derive(Serialize)]
struct OnlyHeader {
    header: Header,
}

#[derive(Serialize)]
struct Get {
    header: Header,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kvs: Vec<KeyValue>,
    #[serde(skip_serializing_if = "zero")]
    more: bool,
    #[serde(skip_serializing_if = "zero")]
    count: i64,
}

impl From<&pb::RangeResponse> for Get {
    fn from(response: &pb::RangeResponse) -> Self {
        Self {
            header: Header::from(&response.header),
            kvs: response.kvs.iter().map(KeyValue::from).collect(),
            more: response.more,
            count: response.count,
        }
    }
}

#[derive(Serialize)]
struct Put {
    header: Header,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_kv: Option<KeyValue>,
}

impl From<&pb::PutResponse> for Put {
    fn from(response: &pb::PutResponse) -> Self {
        Self {
            header: Header::from(&response.header),
            prev_kv: response.prev_kv.as_ref().map(KeyValue::from),
        }
    }
}

#[derive(Serialize)]
struct Del {
    header: Header,
    #[serde(skip_serializing_if = "zero")]
    deleted: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prev_kvs: Vec<KeyValue>,
}

impl From<&pb::DeleteRangeResponse> for Del {
    fn from(response: &pb::DeleteRangeResponse) -> Self {
        Self {
            header: Header::from(&response.header),
            deleted: response.deleted,
            prev_kvs: response.prev_kvs.iter().map(KeyValue::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct Txn {
    header: Header,
    #[serde(skip_serializing_if = "zero")]
    succeeded: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responses: Vec<Op>,
}

#[derive(Serialize)]
struct Op {
    #[serde(rename = "Response")]
    response: Option<OpResponse>,
}

#[derive(Serialize)]
enum OpResponse {
    #[serde(rename = "ResponseRange")]
    Range(Get),
    #[serde(rename = "ResponsePut")]
    Put(Put),
    #[serde(rename = "ResponseDeleteRange")]
    DeleteRange(Del),
    #[serde(rename = "ResponseTxn")]
    Txn(Txn),
}

impl From<&pb::TxnResponse> for Txn {
    fn from(response: &pb::TxnResponse) -> Self {
        let op = |op: &pb::ResponseOp| Op {
            response: op.response.as_ref().map(|response| match response {
                Response::ResponseRange(response) => OpResponse::Range(response.into()),
                Response::ResponsePut(response) => OpResponse::Put(response.into()),
                Response::ResponseDeleteRange(response) => OpResponse::DeleteRange(response.into()),
                Response::ResponseTxn(response) => OpResponse::Txn(response.into()),
            }),
        };
        Self {
            header: Header::from(&response.header),
            succeeded: response.succeeded,
            responses: response.responses.iter().map(op).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Watch {
    header: Header,
    events: Vec<Event>,
    compact_revision: i64,
    canceled: bool,
    created: bool,
}

#[derive(Serialize)]
struct Event {
    #[serde(rename = "type", skip_serializing_if = "zero")]
    kind: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    kv: Option<KeyValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_kv: Option<KeyValue>,
}

impl From<&pb::WatchResponse> for Watch {
    fn from(response: &pb::WatchResponse) -> Self {
        let event = |event: &mvccpb::Event| Event {
            kind: event.r#type,
            kv: event.kv.as_ref().map(KeyValue::from),
            prev_kv: event.prev_kv.as_ref().map(KeyValue::from),
        };
        Self {
            header: Header::from(&response.header),
            events: response.events.iter().map(event).collect(),
            compact_revision: response.compact_revision,
            canceled: response.canceled,
            created: response.created,
        }
    }
}

#[derive(Serialize)]
struct Grant<'a> {
    #[serde(flatten)]
    header: Header,
    #[serde(rename = "ID")]
    id: i64,
    #[serde(rename = "TTL")]
    ttl: i64,
    #[serde(rename = "Error")]
    error: &'a str,
}

#[derive(Serialize)]
struct KeepAlive {
    #[serde(flatten)]
    header: Header,
    #[serde(rename = "ID")]
    id: i64,
    #[serde(rename = "TTL")]
    ttl: i64,
}

#[derive(Serialize)]
struct TimeToLive {
    #[serde(flatten)]
    header: Header,
    id: i64,
    ttl: i64,
    #[serde(rename = "granted-ttl")]
    granted_ttl: i64,
    /// `null` without keys.
    keys: Option<Vec<String>>,
}

impl From<&pb::LeaseTimeToLiveResponse> for TimeToLive {
    fn from(response: &pb::LeaseTimeToLiveResponse) -> Self {
        let keys: Vec<String> = response.keys.iter().map(|key| base64(key)).collect();
        Self {
            header: Header::from(&response.header),
            id: response.id,
            ttl: response.ttl,
            granted_ttl: response.granted_ttl,
            keys: (!keys.is_empty()).then_some(keys),
        }
    }
}

#[derive(Serialize)]
struct LeaseId {
    id: i64,
}

#[derive(Serialize)]
struct Leases {
    #[serde(flatten)]
    header: Header,
    leases: Vec<LeaseId>,
}

#[derive(Serialize)]
struct Members<'a> {
    header: Header,
    members: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    #[serde(rename = "ID", skip_serializing_if = "zero")]
    id: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(rename = "peerURLs", skip_serializing_if = "<[String]>::is_empty")]
    peer_urls: &'a [String],
    #[serde(rename = "clientURLs", skip_serializing_if = "<[String]>::is_empty")]
    client_urls: &'a [String],
    #[serde(rename = "isLearner", skip_serializing_if = "zero")]
    is_learner: bool,
}

impl<'a> From<&'a pb::Member> for Member<'a> {
    fn from(member: &'a pb::Member) -> Self {
        Self {
            id: member.id,
            name: &member.name,
            peer_urls: &member.peer_ur_ls,
            client_urls: &member.client_ur_ls,
            is_learner: member.is_learner,
        }
    }
}

#[derive(Serialize)]
struct EndpointStatus<'a> {
    #[serde(rename = "Endpoint")]
    endpoint: &'a str,
    #[serde(rename = "Status")]
    status: Status<'a>,
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
        }
    }
}

#[derive(Serialize)]
struct Health<'a> {
    endpoint: &'a str,
    health: bool,
    took: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}
