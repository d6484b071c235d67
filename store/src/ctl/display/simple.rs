//! The format for people and for shell scripts: keys and values on lines of their own.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::response_op::Response;
use balsa_proto::etcd::mvccpb::KeyValue;

use super::{Answer, status_word, text};
use crate::ctl::duration;
use crate::ctl::endpoint::{Health, Status};

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
        Answer::MemberList(response) => response.members.iter().map(member).collect(),
        Answer::EndpointStatus(statuses) => statuses.iter().map(|s| status(s).join(", ") + "\n").collect(),
        Answer::EndpointHealth(healths) => healths.iter().map(health).collect(),
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

fn member(member: &pb::Member) -> String {
    member_cells(member).join(", ") + "\n"
}

pub(super) fn member_cells(member: &pb::Member) -> Vec<String> {
    vec![
        format!("{:x}", member.id),
        status_word(member).into(),
        member.name.clone(),
        member.peer_ur_ls.join(","),
        member.client_ur_ls.join(","),
        member.is_learner.to_string(),
    ]
}

pub(super) fn status(status: &Status) -> Vec<String> {
    let response = &status.response;
    let member_id = response.header.as_ref().map_or(0, |header| header.member_id);
    vec![
        status.endpoint.clone(),
        format!("{member_id:x}"),
        response.version.clone(),
        human_size(response.db_size.max(0) as u64),
        (response.leader == member_id).to_string(),
        response.is_learner.to_string(),
        response.raft_term.to_string(),
        response.raft_index.to_string(),
        response.raft_applied_index.to_string(),
        response.errors.join(", "),
    ]
}

fn health(health: &Health) -> String {
    let Health { endpoint, took, error } = health;
    match error {
        None => format!(
            "{endpoint} is healthy: successfully committed proposal: took = {}\n",
            duration::print(*took)
        ),
        Some(error) => format!("{endpoint} is unhealthy: failed to commit proposal: {error}\n"),
    }
}

/// Decimal units; one digit after the point below ten.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let power = bytes.ilog10() as usize / 3;
    let value = (bytes as f64 / 1000f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 { format!("{value:.1} {}", UNITS[power]) } else { format!("{value:.0} {}", UNITS[power]) }
}

#[cfg(test)]
mod tests {
    use super::human_size;

    #[test]
    fn sizes_print_as_in_stock() {
        let sizes = [0, 9, 20_480, 1_234, 82_854_982].map(human_size);
        assert_eq!(sizes, ["0 B", "9 B", "20 kB", "1.2 kB", "83 MB"]);
    }
}
