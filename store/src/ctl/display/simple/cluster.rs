//! Members, endpoints and alarms, a line each.

use balsa_proto::etcd::etcdserverpb as pb;

use super::super::{alarm_word, status_word, unused_percent};
use crate::ctl::endpoint::{HashKv, Health, Status};

pub(super) fn member(member: &pb::Member) -> String {
    member_cells(member).join(", ") + "\n"
}

pub fn member_cells(member: &pb::Member) -> Vec<String> {
    vec![
        format!("{:x}", member.id),
        status_word(member).into(),
        member.name.clone(),
        member.peer_ur_ls.join(","),
        member.client_ur_ls.join(","),
        member.is_learner.to_string(),
    ]
}

/// What was done, and the variables with which the new member is to be started.
pub(super) fn member_added(name: &str, response: &pb::MemberAddResponse) -> String {
    let cluster_id = response.header.as_ref().map_or(0, |header| header.cluster_id);
    let added = response.member.clone().unwrap_or_default();
    let role = if added.is_learner { " as learner" } else { "" };
    let mut cluster = Vec::new();
    for member in &response.members {
        let name = if member.id == added.id { name } else { &member.name };
        cluster.extend(member.peer_ur_ls.iter().map(|url| format!("{name}={url}")));
    }
    format!(
        "Member {:16x} added{role} to cluster {cluster_id:16x}\n\nETCD_NAME={name:?}\nETCD_INITIAL_CLUSTER={:?}\n\
         ETCD_INITIAL_ADVERTISE_PEER_URLS={:?}\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
        added.id,
        cluster.join(","),
        added.peer_ur_ls.join(","),
    )
}

pub(super) fn member_changed(id: u64, done: &str, response: &pb::MemberListResponse) -> String {
    let cluster_id = response.header.as_ref().map_or(0, |header| header.cluster_id);
    let relation = if done == "removed" { "from" } else { "in" };
    format!("Member {id:16x} {done} {relation} cluster {cluster_id:16x}\n")
}

pub fn status_cells(status: &Status) -> Vec<String> {
    let response = &status.response;
    let member_id = response.header.as_ref().map_or(0, |header| header.member_id);
    let downgrade = response.downgrade_info.clone().unwrap_or_default();
    vec![
        status.endpoint.clone(),
        format!("{member_id:x}"),
        response.version.clone(),
        response.storage_version.clone(),
        human_size(response.db_size.max(0) as u64),
        human_size(response.db_size_in_use.max(0) as u64),
        format!("{}%", unused_percent(response)),
        human_size(response.db_size_quota.max(0) as u64),
        (response.leader == member_id).to_string(),
        response.is_learner.to_string(),
        response.raft_term.to_string(),
        response.raft_index.to_string(),
        response.raft_applied_index.to_string(),
        response.errors.join(", "),
        downgrade.target_version,
        downgrade.enabled.to_string(),
    ]
}

pub fn health_line(health: &Health) -> String {
    let endpoint = &health.endpoint;
    match &health.error {
        None => {
            format!("{endpoint} is healthy: successfully committed proposal: took = {}\n", health.took_text())
        }
        Some(error) => format!("{endpoint} is unhealthy: failed to commit proposal: {error}\n"),
    }
}

pub fn hash_cells(hash: &HashKv) -> Vec<String> {
    vec![hash.endpoint.clone(), hash.response.hash.to_string(), hash.response.hash_revision.to_string()]
}

/// A protobuf message as text, which ends with a blank.
pub(super) fn alarm(alarm: &pb::AlarmMember) -> String {
    format!("memberID:{} alarm:{} \n", alarm.member_id, alarm_word(alarm))
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
