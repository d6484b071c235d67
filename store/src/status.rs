//! What a member says of itself, and the header on every answer.

use balsa_proto::etcd::etcdserverpb::{AlarmMember, AlarmType, ResponseHeader, StatusResponse};

use crate::consensus::ConsensusHandle;
use crate::mvcc::Mvcc;

/// The etcd version whose surface this is: clients switch features on and off by it.
pub const SERVER_VERSION: &str = "3.6.14";
pub const CLUSTER_VERSION: &str = "3.6.0";

/// Who this member is, and where its state stands. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    pub cluster_id: u64,
    pub member_id: u64,
    pub consensus: ConsensusHandle,
    pub mvcc: Mvcc,
    /// What `--quota-backend-bytes` came to; negative: without bound.
    pub quota_bytes: i64,
}

impl Identity {
    /// A header at the current revision.
    pub fn header(&self) -> ResponseHeader {
        ResponseHeader { revision: self.mvcc.revision(), ..self.header_without_revision() }
    }

    /// Cluster answers carry no revision.
    pub fn header_without_revision(&self) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision: 0,
            raft_term: self.consensus.leadership().term,
        }
    }

    /// Completes a header that holds at most a revision.
    pub fn fill(&self, header: &mut Option<ResponseHeader>) {
        let revision = header.as_ref().map_or(0, |header| header.revision);
        let mut full = self.header();
        if revision > 0 {
            full.revision = revision;
        }
        *header = Some(full);
    }

    pub fn is_learner(&self) -> bool {
        self.mvcc.members().is_learner(self.member_id)
    }

    pub fn status(&self) -> StatusResponse {
        let leadership = self.consensus.leadership();
        let progress = self.consensus.progress();
        let size = self.mvcc.size();
        let mut errors = match leadership.leader {
            Some(_) => Vec::new(),
            None => vec!["etcdserver: no leader".to_owned()],
        };
        errors.extend(self.mvcc.alarms().of(AlarmType::None).iter().map(alarm_text));
        StatusResponse {
            header: Some(self.header()),
            version: SERVER_VERSION.to_owned(),
            db_size: to_i64(size.total_bytes),
            leader: leadership.leader.unwrap_or(0),
            raft_index: progress.committed_index,
            raft_term: leadership.term,
            raft_applied_index: progress.applied_index,
            errors,
            db_size_in_use: to_i64(size.in_use_bytes),
            is_learner: self.is_learner(),
            storage_version: CLUSTER_VERSION.to_owned(),
            db_size_quota: self.quota_bytes,
            downgrade_info: Some(Default::default()),
        }
    }
}

/// As stock prints the message, with the space behind each field; a field of value 0 is left out.
fn alarm_text(alarm: &AlarmMember) -> String {
    let mut text = String::new();
    if alarm.member_id != 0 {
        text.push_str(&format!("memberID:{} ", alarm.member_id));
    }
    text + &format!("alarm:{} ", alarm.alarm().as_str_name())
}

fn to_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
