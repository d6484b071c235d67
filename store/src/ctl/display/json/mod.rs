//! The format for programs: field names, order and omissions as in stock etcdctl, bytes in base64.

mod auth;
mod cluster;
mod lease;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::response_op::Response;
use balsa_proto::etcd::mvccpb;
use base64::Engine;
use serde::Serialize;

use super::Answer;

/// `hex` turns the ids of members into hexadecimal words, in lists of members alone (3.6).
pub fn show(answer: &Answer, hex: bool) -> String {
    match answer {
        Answer::Get { response, .. } => write(&Get::from(response)),
        Answer::Put(response) => write(&Put::from(response)),
        Answer::Del(response) => write(&Del::from(response)),
        Answer::Txn(response) => write(&Txn::from(response)),
        Answer::Watch(response) => write(&Watch::from(response)),
        Answer::LeaseGrant(response) => write(&lease::Grant::from(response)),
        Answer::LeaseRevoke { response, .. } => header_alone(&response.header),
        Answer::LeaseTimeToLive { response, .. } => write(&lease::TimeToLive::from(response)),
        Answer::LeaseList(response) => write(&lease::Leases::from(response)),
        Answer::LeaseKeepAlive(response) => write(&lease::KeepAlive::from(response)),
        Answer::MemberList(response) => write(&cluster::Members::new(response, hex)),
        Answer::MemberAdd { response, .. } => write(&cluster::Added::from(response)),
        Answer::MemberChange { response, .. } => write(&cluster::Members::new(response, false)),
        Answer::EndpointStatus(statuses) => write(&cluster::statuses(statuses)),
        Answer::EndpointHealth(healths) => write(&cluster::healths(healths)),
        Answer::EndpointHashKv(hashes) => write(&cluster::hashes(hashes)),
        Answer::Alarms(response) => write(&cluster::Alarms::from(response)),
        // Stock leaves the header out.
        Answer::MoveLeader { .. } => "{}\n".into(),
        Answer::Downgrade { response, .. } => write(&cluster::Downgrade::from(response)),
        Answer::AuthStatus(response) => write(&auth::Status::from(response)),
        Answer::RoleGet { response, .. } => write(&auth::Role::from(response)),
        Answer::RoleList(response) => write(&auth::Roles::new(&response.header, &response.roles)),
        Answer::UserGet { response, .. } => write(&auth::Roles::new(&response.header, &response.roles)),
        Answer::UserList(response) => write(&auth::Users::from(response)),
        Answer::Done { header, .. } => header_alone(header),
    }
}

fn write(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs with text keys serialize") + "\n"
}

fn header_alone(header: &Option<pb::ResponseHeader>) -> String {
    write(&OnlyHeader { header: Header::from(header) })
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
