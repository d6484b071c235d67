//! The format for people and for shell scripts: keys and values on lines of their own.

mod auth;
mod cluster;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::response_op::Response;
use balsa_proto::etcd::mvccpb::KeyValue;

use super::{Answer, text};

pub use auth::interval;
pub use cluster::{hash_cells, health_line, human_size, member_cells, status_cells};

pub fn show(answer: &Answer, hex: bool) -> String {
    match answer {
        Answer::Get { response, value_only } => get(response, hex, *value_only),
        Answer::Put(response) => put(response, hex),
        Answer::Del(response) => del(response, hex),
        Answer::Txn(response) => txn(response, hex),
        Answer::Watch(response) => watch(response, hex),
        Answer::LeaseGrant(lease) => format!("lease {:016x} granted with TTL({}s)\n", lease.id, lease.ttl),
        Answer::LeaseRevoke { id, .. } => format!("lease {id:016x} revoked\n"),
        Answer::LeaseTimeToLive { response, keys } => time_to_live(response, *keys),
        Answer::LeaseList(response) => leases(response),
        Answer::LeaseKeepAlive(lease) => {
            format!("lease {:016x} keepalived with TTL({})\n", lease.id, lease.ttl)
        }
        Answer::MemberList(response) => response.members.iter().map(cluster::member).collect(),
        Answer::MemberAdd { name, response } => cluster::member_added(name, response),
        Answer::MemberChange { id, done, response } => cluster::member_changed(*id, done, response),
        Answer::EndpointStatus(statuses) => {
            statuses.iter().map(|status| status_cells(status).join(", ") + "\n").collect()
        }
        Answer::EndpointHealth(healths) => healths.iter().map(health_line).collect(),
        Answer::EndpointHashKv(hashes) => {
            hashes.iter().map(|hash| hash_cells(hash).join(", ") + "\n").collect()
        }
        Answer::Alarms(response) => response.alarms.iter().map(cluster::alarm).collect(),
        Answer::MoveLeader { from, to } => format!("Leadership transferred from {from:x} to {to:x}\n"),
        Answer::Downgrade { action, response } => {
            format!("Downgrade {action} success, cluster version {}\n", response.version)
        }
        Answer::AuthStatus(response) => auth::status(response),
        Answer::RoleGet { role, response } => auth::role(role, response),
        Answer::RoleList(response) => response.roles.iter().map(|role| format!("{role}\n")).collect(),
        Answer::UserGet { user, response } => auth::user(user, response),
        Answer::UserList(response) => response.users.iter().map(|user| format!("{user}\n")).collect(),
        Answer::Done { text, .. } => format!("{text}\n"),
    }
}

fn bytes(bytes: &[u8], hex: bool) -> String {
    if hex { bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect() } else { text(bytes) }
}

fn pair(kv: &KeyValue, hex: bool) -> String {
    format!("{}\n{}\n", bytes(&kv.key, hex), bytes(&kv.value, hex))
}

fn get(response: &pb::RangeResponse, hex: bool, value_only: bool) -> String {
    let value = |kv: &KeyValue| format!("{}\n", bytes(&kv.value, hex));
    response.kvs.iter().map(|kv| if value_only { value(kv) } else { pair(kv, hex) }).collect()
}

fn put(response: &pb::PutResponse, hex: bool) -> String {
    let previous: String = response.prev_kv.iter().map(|kv| pair(kv, hex)).collect();
    format!("OK\n{previous}")
}

fn del(response: &pb::DeleteRangeResponse, hex: bool) -> String {
    let previous: String = response.prev_kvs.iter().map(|kv| pair(kv, hex)).collect();
    format!("{}\n{previous}", response.deleted)
}

fn txn(response: &pb::TxnResponse, hex: bool) -> String {
    let mut out = String::from(if response.succeeded { "SUCCESS\n" } else { "FAILURE\n" });
    for op in &response.responses {
        out.push('\n');
        out.push_str(&match &op.response {
            Some(Response::ResponseRange(response)) => get(response, hex, false),
            Some(Response::ResponsePut(response)) => put(response, hex),
            Some(Response::ResponseDeleteRange(response)) => del(response, hex),
            Some(Response::ResponseTxn(response)) => txn(response, hex),
            None => String::new(),
        });
    }
    out
}

fn watch(response: &pb::WatchResponse, hex: bool) -> String {
    let mut out = String::new();
    for event in &response.events {
        out.push_str(if event.r#type == 0 { "PUT\n" } else { "DELETE\n" });
        event.prev_kv.iter().chain(&event.kv).for_each(|kv| out.push_str(&pair(kv, hex)));
    }
    out
}

fn time_to_live(response: &pb::LeaseTimeToLiveResponse, keys: bool) -> String {
    if response.granted_ttl == 0 && response.ttl == -1 {
        return format!("lease {:016x} already expired\n", response.id);
    }
    let mut line = format!(
        "lease {:016x} granted with TTL({}s), remaining({}s)",
        response.id, response.granted_ttl, response.ttl
    );
    if keys {
        let keys: Vec<String> = response.keys.iter().map(|key| text(key)).collect();
        line.push_str(&format!(", attached keys([{}])", keys.join(" ")));
    }
    line + "\n"
}

fn leases(response: &pb::LeaseLeasesResponse) -> String {
    let ids: String = response.leases.iter().map(|lease| format!("{:016x}\n", lease.id)).collect();
    format!("found {} leases\n{ids}", response.leases.len())
}
