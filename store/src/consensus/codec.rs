//! How node-local records look on disk and between members: bincode inside a versioned, checksummed envelope.
//!
//! ```text
//! magic u16 | codec u8 | schema u16 | flags u8 | len u32 | crc32c u32 | body      (little endian)
//! ```
//! Only records of fixed shape pass here (entry header, vote, log id, membership): bincode cannot evolve. What must
//! evolve, the command inside an entry, is a protobuf message that the entry record carries as bytes.
//! bincode's legacy configuration is byte-identical to bincode 1 and to its maintained successors, so the crate can
//! be changed without touching data. A length is checked against a limit before anything is allocated.

use bincode::{Decode, Encode};
use bytes::{BufMut, Bytes};

use super::MemberNode;
use super::types::{EncodedBatch, Entry, LeaderId, LogId, Membership, Payload, StoredMembership, Vote};
use crate::limits::MAX_RECORD_BYTES;

const MAGIC: u16 = 0xba15;
const CODEC_BINCODE_LEGACY: u8 = 1;
const HEADER_BYTES: usize = 2 + 1 + 2 + 1 + 4 + 4;

const SCHEMA_ENTRY: u16 = 1;
const SCHEMA_VOTE: u16 = 2;
const SCHEMA_LOG_ID: u16 = 3;
const SCHEMA_MEMBERSHIP: u16 = 4;

const KIND_BLANK: u8 = 0;
const KIND_COMMANDS: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("record is cut off: {have} of {need} bytes")]
    CutOff { have: usize, need: usize },
    #[error("record has magic {0:#06x}")]
    Magic(u16),
    #[error("record has codec {codec}, schema {schema}, flags {flags}; want schema {want}")]
    Version { codec: u8, schema: u16, flags: u8, want: u16 },
    #[error("record of {0} bytes is over the limit")]
    TooLong(usize),
    #[error("record has checksum {found:#010x}, its bytes have {computed:#010x}")]
    Checksum { found: u32, computed: u32 },
    #[error("record does not decode")]
    Body(#[source] bincode::error::DecodeError),
    #[error("entry has kind {0}")]
    Kind(u8),
    #[error("membership contradicts itself: {0}")]
    Membership(String),
}

#[derive(Encode, Decode)]
struct LogIdRecord {
    term: u64,
    leader: u64,
    index: u64,
}

#[derive(Encode, Decode)]
struct VoteRecord {
    term: u64,
    candidate: u64,
    committed: bool,
}

/// Followed by the payload, whose length is what remains of the body.
#[derive(Encode, Decode)]
struct EntryHeader {
    term: u64,
    leader: u64,
    index: u64,
    kind: u8,
}

#[derive(Encode, Decode)]
struct MemberRecord {
    id: u64,
    name: String,
    peer_urls: Vec<String>,
}

#[derive(Encode, Decode)]
struct MembershipRecord {
    log_id: Option<LogIdRecord>,
    /// One set of voters; two while the membership changes.
    voters: Vec<Vec<u64>>,
    members: Vec<MemberRecord>,
}

pub fn encode_entry(entry: &Entry) -> Bytes {
    let mut out = Vec::new();
    encode_entry_into(entry, &mut out);
    out.into()
}

/// Appends the record of the entry: the payload is copied once.
pub fn encode_entry_into(entry: &Entry, out: &mut Vec<u8>) {
    let (kind, payload) = match &entry.payload {
        Payload::Blank => (KIND_BLANK, Bytes::new()),
        Payload::Normal(EncodedBatch { bytes }) => (KIND_COMMANDS, bytes.clone()),
        Payload::Membership(membership) => {
            (KIND_MEMBERSHIP, encode_body(&membership_record(None, membership)))
        }
    };
    let LogId { leader_id, index } = entry.log_id;
    let header = EntryHeader { term: leader_id.term, leader: leader_id.node_id, index, kind };
    seal_into(SCHEMA_ENTRY, &[&encode_body(&header), &payload], out);
}

/// The payload shares the memory of `bytes`.
pub fn decode_entry(bytes: &Bytes) -> Result<Entry, DecodeError> {
    let body = open(SCHEMA_ENTRY, bytes)?;
    let (header, used) = decode_body::<EntryHeader>(&body)?;
    let payload = body.slice(used..);
    let payload = match header.kind {
        KIND_BLANK => Payload::Blank,
        KIND_COMMANDS => Payload::Normal(EncodedBatch { bytes: payload }),
        KIND_MEMBERSHIP => {
            Payload::Membership(stored_membership(decode_body(&payload)?.0)?.membership().clone())
        }
        kind => return Err(DecodeError::Kind(kind)),
    };
    Ok(Entry { log_id: log_id(header.term, header.leader, header.index), payload })
}

pub fn encode_vote(vote: &Vote) -> Bytes {
    let Vote { leader_id, committed } = *vote;
    let record = VoteRecord { term: leader_id.term, candidate: leader_id.node_id, committed };
    seal(SCHEMA_VOTE, &[&encode_body(&record)])
}

pub fn decode_vote(bytes: &Bytes) -> Result<Vote, DecodeError> {
    let (record, _) = decode_body::<VoteRecord>(&open(SCHEMA_VOTE, bytes)?)?;
    let leader_id = LeaderId { term: record.term, node_id: record.candidate };
    Ok(Vote { leader_id, committed: record.committed })
}

pub fn encode_log_id(id: &LogId) -> Bytes {
    seal(SCHEMA_LOG_ID, &[&encode_body(&log_id_record(id))])
}

pub fn decode_log_id(bytes: &Bytes) -> Result<LogId, DecodeError> {
    let (record, _) = decode_body::<LogIdRecord>(&open(SCHEMA_LOG_ID, bytes)?)?;
    Ok(log_id(record.term, record.leader, record.index))
}

pub fn encode_membership(stored: &StoredMembership) -> Bytes {
    let record = membership_record(stored.log_id().as_ref(), stored.membership());
    seal(SCHEMA_MEMBERSHIP, &[&encode_body(&record)])
}

pub fn decode_membership(bytes: &Bytes) -> Result<StoredMembership, DecodeError> {
    let (record, _) = decode_body::<MembershipRecord>(&open(SCHEMA_MEMBERSHIP, bytes)?)?;
    stored_membership(record)
}

fn log_id(term: u64, leader: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: leader }, index }
}

fn log_id_record(id: &LogId) -> LogIdRecord {
    LogIdRecord { term: id.leader_id.term, leader: id.leader_id.node_id, index: id.index }
}

fn membership_record(log_id: Option<&LogId>, membership: &Membership) -> MembershipRecord {
    let voters = membership.get_joint_config().iter().map(|set| set.iter().copied().collect()).collect();
    let members = membership
        .nodes()
        .map(|(id, node)| MemberRecord {
            id: *id,
            name: node.name.clone(),
            peer_urls: node.peer_urls.clone(),
        })
        .collect();
    MembershipRecord { log_id: log_id.map(log_id_record), voters, members }
}

fn stored_membership(record: MembershipRecord) -> Result<StoredMembership, DecodeError> {
    let MembershipRecord { log_id: id, voters, members } = record;
    let voters: Vec<_> = voters.into_iter().map(|set| set.into_iter().collect()).collect();
    let nodes: std::collections::BTreeMap<_, _> = members
        .into_iter()
        .map(|member| (member.id, MemberNode { name: member.name, peer_urls: member.peer_urls }))
        .collect();
    // The empty membership of a fresh member has no voters at all, which the checked constructor refuses.
    let membership = if voters.is_empty() {
        Membership::default()
    } else {
        Membership::new(voters, nodes).map_err(|error| DecodeError::Membership(error.to_string()))?
    };
    Ok(StoredMembership::new(id.map(|id| log_id(id.term, id.leader, id.index)), membership))
}

fn encode_body(record: &impl Encode) -> Bytes {
    bincode::encode_to_vec(record, bincode::config::legacy())
        .expect("records hold nothing that cannot encode")
        .into()
}

fn decode_body<T: Decode<()>>(body: &Bytes) -> Result<(T, usize), DecodeError> {
    let config = bincode::config::legacy().with_limit::<MAX_RECORD_BYTES>();
    bincode::decode_from_slice(body, config).map_err(DecodeError::Body)
}

fn seal(schema: u16, parts: &[&Bytes]) -> Bytes {
    let mut out = Vec::new();
    seal_into(schema, parts, &mut out);
    out.into()
}

fn seal_into(schema: u16, parts: &[&Bytes], out: &mut Vec<u8>) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let crc = parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
    out.reserve(HEADER_BYTES + len);
    out.put_u16_le(MAGIC);
    out.put_u8(CODEC_BINCODE_LEGACY);
    out.put_u16_le(schema);
    out.put_u8(0);
    out.put_u32_le(u32::try_from(len).expect("records are bounded far below 4 GiB"));
    out.put_u32_le(crc);
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn open(want: u16, bytes: &Bytes) -> Result<Bytes, DecodeError> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::CutOff { have: bytes.len(), need: HEADER_BYTES });
    };
    let magic = u16::from_le_bytes([header[0], header[1]]);
    if magic != MAGIC {
        return Err(DecodeError::Magic(magic));
    }
    let (codec, schema, flags) = (header[2], u16::from_le_bytes([header[3], header[4]]), header[5]);
    if codec != CODEC_BINCODE_LEGACY || schema != want || flags != 0 {
        return Err(DecodeError::Version { codec, schema, flags, want });
    }
    let len = u32::from_le_bytes([header[6], header[7], header[8], header[9]]) as usize;
    if len > MAX_RECORD_BYTES {
        return Err(DecodeError::TooLong(len));
    }
    if bytes.len() != HEADER_BYTES + len {
        return Err(DecodeError::CutOff { have: bytes.len(), need: HEADER_BYTES + len });
    }
    let found = u32::from_le_bytes([header[10], header[11], header[12], header[13]]);
    let body = bytes.slice(HEADER_BYTES..);
    let computed = crc32c::crc32c(&body);
    if found != computed {
        return Err(DecodeError::Checksum { found, computed });
    }
    Ok(body)
}

#[cfg(test)]
#[path = "codec_test.rs"]
mod tests;
