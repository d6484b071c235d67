//! Members, endpoints and alarms, field by field.

use balsa_proto::etcd::etcdserverpb as pb;

use super::super::alarm_word;
use super::Lines;
use crate::ctl::endpoint::{HashKv, Health, Status};

pub(super) fn member(out: &mut Lines, member: &pb::Member) {
    out.member_id("ID", member.id);
    out.quoted("Name", &member.name);
    member.peer_ur_ls.iter().for_each(|url| out.quoted("PeerURL", url));
    member.client_ur_ls.iter().for_each(|url| out.quoted("ClientURL", url));
    out.line("IsLearner", member.is_learner);
    out.text.push('\n');
}

pub(super) fn status(out: &mut Lines, status: &Status) {
    let response = &status.response;
    let downgrade = response.downgrade_info.clone().unwrap_or_default();
    out.header(&response.header);
    out.quoted("Version", &response.version);
    out.quoted("StorageVersion", &response.storage_version);
    out.line("DBSize", response.db_size);
    out.line("DBSizeInUse", response.db_size_in_use);
    out.line("Leader", response.leader);
    out.line("IsLearner", response.is_learner);
    out.line("RaftIndex", response.raft_index);
    out.line("RaftTerm", response.raft_term);
    out.line("RaftAppliedIndex", response.raft_applied_index);
    out.line("Errors", format!("[{}]", response.errors.join(" ")));
    out.quoted("Endpoint", &status.endpoint);
    out.quoted("DowngradeTargetVersion", &downgrade.target_version);
    out.line("DowngradeEnabled", downgrade.enabled);
    out.text.push('\n');
}

pub(super) fn health(out: &mut Lines, health: &Health) {
    out.quoted("Endpoint", &health.endpoint);
    out.line("Health", health.error.is_none());
    out.line("Took", health.took_text());
    out.line("Error", health.error.as_deref().unwrap_or_default());
    out.text.push('\n');
}

pub(super) fn hash(out: &mut Lines, hash: &HashKv) {
    out.header(&hash.response.header);
    out.quoted("Endpoint", &hash.endpoint);
    out.line("Hash", hash.response.hash);
    out.line("HashRevision", hash.response.hash_revision);
    out.text.push('\n');
}

pub(super) fn alarms(out: &mut Lines, response: &pb::AlarmResponse) {
    out.header(&response.header);
    for alarm in &response.alarms {
        out.member_id("MemberID", alarm.member_id);
        out.line("AlarmType", alarm_word(alarm));
        out.text.push('\n');
    }
}
