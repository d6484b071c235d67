//! `/debug/vars`: the process and its place in the cluster, under etcd's names as far as they mean something here.

use http::{Response, StatusCode};
use tonic::body::Body;

use super::page;
use crate::status::Identity;

pub fn page_of(identity: &Identity) -> Response<Body> {
    let leadership = identity.consensus.leadership();
    let progress = identity.consensus.progress();
    let hex = |id: u64| format!("{id:x}");
    let state = if leadership.is_leader { "StateLeader" } else { "StateFollower" };
    let vars = serde_json::json!({
        "cmdline": std::env::args().collect::<Vec<_>>(),
        "raft.status": {
            "id": hex(identity.member_id),
            "term": leadership.term,
            "commit": progress.committed_index,
            "applied": progress.applied_index,
            "lead": hex(leadership.leader.unwrap_or(0)),
            "raftState": state,
            "voters": identity.consensus.members().iter().filter(|member| !member.is_learner).count(),
        },
    });
    page(StatusCode::OK, "application/json; charset=utf-8", format!("{vars:#}\n"))
}
