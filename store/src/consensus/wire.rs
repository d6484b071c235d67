//! Raft's messages as protobuf, and back.

use balsa_proto::store as pb;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest, VoteRequest,
    VoteResponse,
};

use super::codec::{self, DecodeError};
use super::types::{LeaderId, LogId, TypeConfig, Vote};

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the message lacks {0}")]
    Missing(&'static str),
    #[error("an entry does not decode")]
    Entry(#[from] DecodeError),
}

pub fn log_id_to(id: &LogId) -> pb::RaftLogId {
    pb::RaftLogId { term: id.leader_id.term, leader: id.leader_id.node_id, index: id.index }
}

pub fn log_id_from(id: pb::RaftLogId) -> LogId {
    LogId { leader_id: LeaderId { term: id.term, node_id: id.leader }, index: id.index }
}

pub fn vote_to(vote: &Vote) -> pb::RaftVote {
    pb::RaftVote { term: vote.leader_id.term, candidate: vote.leader_id.node_id, committed: vote.committed }
}

pub fn vote_from(vote: Option<pb::RaftVote>) -> Result<Vote, WireError> {
    let vote = vote.ok_or(WireError::Missing("the vote"))?;
    Ok(Vote { leader_id: LeaderId { term: vote.term, node_id: vote.candidate }, committed: vote.committed })
}

pub fn vote_request_to(request: &VoteRequest<TypeConfig>) -> pb::VoteRequest {
    pb::VoteRequest {
        vote: Some(vote_to(&request.vote)),
        last_log: request.last_log_id.as_ref().map(log_id_to),
        leadership_transfer: request.leadership_transfer,
    }
}

pub fn vote_request_from(request: pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, WireError> {
    Ok(VoteRequest {
        vote: vote_from(request.vote)?,
        last_log_id: request.last_log.map(log_id_from),
        leadership_transfer: request.leadership_transfer,
    })
}

pub fn vote_response_to(response: &VoteResponse<TypeConfig>) -> pb::VoteResponse {
    pb::VoteResponse {
        vote: Some(vote_to(&response.vote)),
        granted: response.vote_granted,
        last_log: response.last_log_id.as_ref().map(log_id_to),
    }
}

pub fn vote_response_from(response: pb::VoteResponse) -> Result<VoteResponse<TypeConfig>, WireError> {
    let vote = vote_from(response.vote)?;
    Ok(VoteResponse::new(vote, response.last_log.map(log_id_from), response.granted))
}

pub fn append_to(request: &AppendEntriesRequest<TypeConfig>) -> pb::AppendRequest {
    pb::AppendRequest {
        vote: Some(vote_to(&request.vote)),
        prev: request.prev_log_id.as_ref().map(log_id_to),
        entries: request.entries.iter().map(codec::encode_entry).collect(),
        commit: request.leader_commit.as_ref().map(log_id_to),
    }
}

pub fn append_from(request: pb::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, WireError> {
    Ok(AppendEntriesRequest {
        vote: vote_from(request.vote)?,
        prev_log_id: request.prev.map(log_id_from),
        entries: request.entries.iter().map(codec::decode_entry).collect::<Result<_, _>>()?,
        leader_commit: request.commit.map(log_id_from),
    })
}

pub fn append_result_to(result: &StreamAppendResult<TypeConfig>) -> pb::AppendResponse {
    use pb::append_response::Outcome;
    let outcome = match result {
        Ok(matched) => Outcome::Matched(pb::Matched { log_id: matched.as_ref().map(log_id_to) }),
        Err(StreamAppendError::Conflict(log_id)) => Outcome::Conflict(log_id_to(log_id)),
        Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote(vote_to(vote)),
    };
    pb::AppendResponse { outcome: Some(outcome) }
}

pub fn append_result_from(response: pb::AppendResponse) -> Result<StreamAppendResult<TypeConfig>, WireError> {
    use pb::append_response::Outcome;
    Ok(match response.outcome.ok_or(WireError::Missing("the outcome"))? {
        Outcome::Matched(matched) => Ok(matched.log_id.map(log_id_from)),
        Outcome::Conflict(log_id) => Err(StreamAppendError::Conflict(log_id_from(log_id))),
        Outcome::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_from(Some(vote))?)),
    })
}

pub fn transfer_to(request: &TransferLeaderRequest<TypeConfig>) -> pb::TransferLeaderRequest {
    pb::TransferLeaderRequest {
        from: Some(vote_to(request.from_leader())),
        to: *request.to_node_id(),
        last_log: request.last_log_id().map(log_id_to),
    }
}

pub fn transfer_from(
    request: pb::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, WireError> {
    let from = vote_from(request.from)?;
    Ok(TransferLeaderRequest::new(from, request.to, request.last_log.map(log_id_from)))
}
