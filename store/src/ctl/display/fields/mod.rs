//! One field per line, `"Name" : value`. With `--hex`, ids and leases are hexadecimal (3.6).

mod cluster;

use std::fmt::Display;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::response_op::Response;
use balsa_proto::etcd::mvccpb::KeyValue;

use super::{Answer, text};

/// `None` for answers that stock etcdctl gives no fields for.
pub fn show(answer: &Answer, hex: bool) -> Option<String> {
    let mut out = Lines { text: String::new(), hex };
    match answer {
        Answer::Get { response, .. } => get(&mut out, response),
        Answer::Put(response) => put(&mut out, response),
        Answer::Del(response) => del(&mut out, response),
        Answer::Txn(response) => txn(&mut out, response),
        Answer::Watch(response) => watch(&mut out, response),
        Answer::LeaseGrant(lease) => {
            out.header(&lease.header);
            out.id("ID", lease.id as u64);
            out.line("TTL", lease.ttl);
        }
        Answer::LeaseRevoke { response, .. } => out.header(&response.header),
        Answer::LeaseTimeToLive { response, keys } => time_to_live(&mut out, response, *keys),
        Answer::LeaseList(response) => {
            out.header(&response.header);
            response.leases.iter().for_each(|lease| out.id("ID", lease.id as u64));
        }
        Answer::LeaseKeepAlive(lease) => {
            out.header(&lease.header);
            out.id("ID", lease.id as u64);
            out.line("TTL", lease.ttl);
        }
        Answer::MemberList(response) => {
            out.header(&response.header);
            response.members.iter().for_each(|one| cluster::member(&mut out, one));
        }
        Answer::EndpointStatus(statuses) => statuses.iter().for_each(|one| cluster::status(&mut out, one)),
        Answer::EndpointHealth(healths) => healths.iter().for_each(|one| cluster::health(&mut out, one)),
        Answer::EndpointHashKv(hashes) => hashes.iter().for_each(|one| cluster::hash(&mut out, one)),
        Answer::Alarms(response) => cluster::alarms(&mut out, response),
        Answer::RoleGet { response, .. } => role(&mut out, response),
        Answer::RoleList(response) => {
            out.header(&response.header);
            let roles: Vec<String> = response.roles.iter().map(|role| format!("{role:?}")).collect();
            out.line("Roles", roles.join(" "));
        }
        Answer::Done { header, .. } => out.header(header),
        Answer::MemberAdd { .. }
        | Answer::MemberChange { .. }
        | Answer::MoveLeader { .. }
        | Answer::Downgrade { .. }
        | Answer::AuthStatus(_)
        | Answer::UserGet { .. }
        | Answer::UserList(_) => return None,
    }
    Some(out.text)
}

struct Lines {
    text: String,
    hex: bool,
}

impl Lines {
    fn line(&mut self, name: &str, value: impl Display) {
        self.text.push_str(&format!("\"{name}\" : {value}\n"));
    }

    fn quoted(&mut self, name: &str, value: &str) {
        self.line(name, go_quoted(value.as_bytes()));
    }

    fn id(&mut self, name: &str, id: u64) {
        if self.hex { self.line(name, format!("{id:x}")) } else { self.line(name, id as i64) }
    }

    /// A member's or a cluster's, which stock counts without a sign.
    fn member_id(&mut self, name: &str, id: u64) {
        if self.hex { self.line(name, format!("{id:x}")) } else { self.line(name, id) }
    }

    fn header(&mut self, header: &Option<pb::ResponseHeader>) {
        let header = header.unwrap_or_default();
        self.member_id("ClusterID", header.cluster_id);
        self.member_id("MemberID", header.member_id);
        // Stock 3.6 says nothing where there is none; 3.4 says 0.
        if header.revision != 0 {
            self.line("Revision", header.revision);
        }
        self.line("RaftTerm", header.raft_term);
    }

    fn key_value(&mut self, prefix: &str, kv: &KeyValue) {
        self.quoted(&format!("{prefix}Key"), &text(&kv.key));
        self.line(&format!("{prefix}CreateRevision"), kv.create_revision);
        self.line(&format!("{prefix}ModRevision"), kv.mod_revision);
        self.line(&format!("{prefix}Version"), kv.version);
        self.quoted(&format!("{prefix}Value"), &text(&kv.value));
        let lease = if self.hex { format!("{:016x}", kv.lease) } else { kv.lease.to_string() };
        self.line(&format!("{prefix}Lease"), lease);
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
    out.id("ID", response.id as u64);
    out.line("TTL", response.ttl);
    out.line("GrantedTTL", response.granted_ttl);
    if keys {
        response.keys.iter().for_each(|key| out.quoted("Key", &text(key)));
    }
}

fn role(out: &mut Lines, response: &pb::AuthRoleGetResponse) {
    out.header(&response.header);
    for permission in &response.perm {
        // Two spaces: so prints stock.
        out.line("PermType", format!(" {}", permission.perm_type().as_str_name()));
        out.line("Key", go_quoted(&permission.key));
        out.line("RangeEnd", go_quoted(&permission.range_end));
    }
}

/// As Go's `%q` writes it: what does not print is `\\x` and two digits.
fn go_quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for c in text(bytes).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}
