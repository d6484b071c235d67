//! One field per line, `"Name" : value`.

use std::fmt::Display;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::response_op::Response;
use balsa_proto::etcd::mvccpb::KeyValue;

use super::{Answer, text};
use crate::ctl::duration;
use crate::ctl::endpoint::{Health, Status};

pub fn show(answer: &Answer) -> String {
    let mut out = Lines::default();
    match answer {
        Answer::Get { response, .. } => get(&mut out, response),
        Answer::Put(response) => put(&mut out, response),
        Answer::Del(response) => del(&mut out, response),
        Answer::Txn(response) => txn(&mut out, response),
        Answer::Watch(response) => watch(&mut out, response),
        Answer::LeaseGrant(lease) => {
            out.header(&lease.header);
            out.line("ID", lease.id);
            out.line("TTL", lease.ttl);
        }
        Answer::LeaseRevoke { response, .. } => out.header(&response.header),
        Answer::LeaseTimeToLive { response, keys } => time_to_live(&mut out, response, *keys),
        Answer::LeaseList(response) => {
            out.header(&response.header);
            response.leases.iter().for_each(|lease| out.line("ID", lease.id));
        }
        Answer::LeaseKeepAlive(lease) => {
            out.header(&lease.header);
            out.line("ID", lease.id);
            out.line("TTL", lease.ttl);
        }
        Answer::MemberList(response) => {
            out.header(&response.header);
            response.members.iter().for_each(|one| member(&mut out, one));
        }
        Answer::EndpointStatus(statuses) => statuses.iter().for_each(|one| status(&mut out, one)),
        Answer::EndpointHealth(healths) => healths.iter().for_each(|one| health(&mut out, one)),
    }
    out.text
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, name: &str, value: impl Display) {
        self.text.push_str(&format!("\"{name}\" : {value}\n"));
    }

    fn quoted(&mut self, name: &str, value: &str) {
        self.line(name, format!("{value:?}"));
    }

    fn header(&mut self, header: &Option<pb::ResponseHeader>) {
        let header = header.unwrap_or_default();
        self.line("ClusterID", header.cluster_id);
        self.line("MemberID", header.member_id);
        self.line("Revision", header.revision);
        self.line("RaftTerm", header.raft_term);
    }

    fn key_value(&mut self, prefix: &str, kv: &KeyValue) {
        self.quoted(&format!("{prefix}Key"), &text(&kv.key));
        self.line(&format!("{prefix}CreateRevision"), kv.create_revision);
        self.line(&format!("{prefix}ModRevision"), kv.mod_revision);
        self.line(&format!("{prefix}Version"), kv.version);
        self.quoted(&format!("{prefix}Value"), &text(&kv.value));
        self.line(&format!("{prefix}Lease"), kv.lease);
    }
}

fn get(out: &mut Lines, response: &pb::RangeResponse) {
    out.header(&response.header);
    response.kvs.iter().for_each(|kv| out.key_value("", kv));
    out.line("More", response.more);
    out.line("Count", response.count);
}

fn put(out: &mut Lines, response: &pb::PutResponse) {
    out.header(&response.header);
    response.prev_kv.iter().for_each(|kv| out.key_value("Prev", kv));
}

fn del(out: &mut Lines, response: &pb::DeleteRangeResponse) {
    out.header(&response.header);
    out.line("Deleted", response.deleted);
    response.prev_kvs.iter().for_each(|kv| out.key_value("Prev", kv));
}

fn txn(out: &mut Lines, response: &pb::TxnResponse) {
    out.header(&response.header);
    out.line("Succeeded", response.succeeded);
    for op in &response.responses {
        match &op.response {
            Some(Response::ResponseRange(response)) => get(out, response),
            Some(Response::ResponsePut(response)) => put(out, response),
            Some(Response::ResponseDeleteRange(response)) => del(out, response),
            Some(Response::ResponseTxn(response)) => txn(out, response),
            None => {}
        }
    }
}

fn watch(out: &mut Lines, response: &pb::WatchResponse) {
    out.header(&response.header);
    for event in &response.events {
        out.line("Type", if event.r#type == 0 { "PUT" } else { "DELETE" });
        event.prev_kv.iter().for_each(|kv| out.key_value("Prev", kv));
        event.kv.iter().for_each(|kv| out.key_value("", kv));
    }
}

fn time_to_live(out: &mut Lines, response: &pb::LeaseTimeToLiveResponse, keys: bool) {
    out.header(&response.header);
    out.line("ID", response.id);
    out.line("TTL", response.ttl);
    out.line("GrantedTTL", response.granted_ttl);
    if keys {
        response.keys.iter().for_each(|key| out.quoted("Key", &text(key)));
    }
}

fn member(out: &mut Lines, member: &pb::Member) {
    out.line("ID", member.id);
    out.quoted("Name", &member.name);
    member.peer_ur_ls.iter().for_each(|url| out.quoted("PeerURL", url));
    member.client_ur_ls.iter().for_each(|url| out.quoted("ClientURL", url));
    out.line("IsLearner", member.is_learner);
    out.text.push('\n');
}

fn status(out: &mut Lines, status: &Status) {
    let response = &status.response;
    out.header(&response.header);
    out.quoted("Version", &response.version);
    out.line("DBSize", response.db_size);
    out.line("Leader", response.leader);
    out.line("IsLearner", response.is_learner);
    out.line("RaftIndex", response.raft_index);
    out.line("RaftTerm", response.raft_term);
    out.line("RaftAppliedIndex", response.raft_applied_index);
    out.line("Errors", format!("[{}]", response.errors.join(" ")));
    out.quoted("Endpoint", &status.endpoint);
    out.text.push('\n');
}

fn health(out: &mut Lines, health: &Health) {
    out.quoted("Endpoint", &health.endpoint);
    out.line("Health", health.error.is_none());
    out.quoted("Took", &duration::print(health.took));
    out.quoted("Error", health.error.as_deref().unwrap_or_default());
    out.text.push('\n');
}
