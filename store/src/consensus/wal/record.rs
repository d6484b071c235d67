//! What a frame holds: records, each `kind u8 | len u32 | payload`, and what each does to the log.

use std::ops::Range;

use bytes::{BufMut, Bytes};

use super::frame;
use crate::consensus::codec::{self, DecodeError};
use crate::consensus::types::{Entry, LogId, Vote};

const KIND_ENTRY: u8 = 1;
const KIND_VOTE: u8 = 2;
const KIND_COMMITTED: u8 = 3;
const KIND_TRUNCATE: u8 = 4;
const KIND_PURGE: u8 = 5;
const KIND_HEAD: u8 = 6;
const KIND_SEAL: u8 = 7;

const RECORD_HEADER_BYTES: usize = 1 + 4;
pub const SEAL_FRAME_BYTES: usize = frame::HEADER_BYTES + RECORD_HEADER_BYTES;

/// What one record does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// An entry stands at these bytes of the frame or segment that was read.
    Entry {
        index: u64,
        at: Range<usize>,
    },
    /// Every entry from this index on is gone.
    TruncateFrom(u64),
    Purge(LogId),
    Vote(Vote),
    Committed(LogId),
}

/// All that is said of the log but for its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    pub vote: Option<Vote>,
    pub purged: Option<LogId>,
    pub committed: Option<LogId>,
}

impl Meta {
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Purge(upto) => self.purged = Some(*upto),
            Effect::Vote(vote) => self.vote = Some(*vote),
            Effect::Committed(log_id) => self.committed = Some(*log_id),
            Effect::Entry { .. } | Effect::TruncateFrom(_) => {}
        }
    }
}

/// The records of one frame to be.
#[derive(Debug)]
pub struct Records {
    frame: Vec<u8>,
    effects: Vec<Effect>,
}

impl Default for Records {
    fn default() -> Self {
        Self { frame: frame::begin(), effects: Vec::new() }
    }
}

impl Records {
    pub fn entry(&mut self, entry: &Entry) {
        let start = self.frame.len() + RECORD_HEADER_BYTES;
        self.frame.extend_from_slice(&[KIND_ENTRY, 0, 0, 0, 0]);
        codec::encode_entry_into(entry, &mut self.frame);
        let at = start..self.frame.len();
        let len = u32::try_from(at.len()).expect("entries are bounded far below 4 GiB");
        self.frame[start - 4..start].copy_from_slice(&len.to_le_bytes());
        self.effects.push(Effect::Entry { index: entry.log_id.index, at });
    }

    pub fn vote(&mut self, vote: &Vote) {
        push(&mut self.frame, KIND_VOTE, &codec::encode_vote(vote));
        self.effects.push(Effect::Vote(*vote));
    }

    pub fn committed(&mut self, log_id: &LogId) {
        push(&mut self.frame, KIND_COMMITTED, &codec::encode_log_id(log_id));
        self.effects.push(Effect::Committed(*log_id));
    }

    pub fn truncate_from(&mut self, index: u64) {
        push(&mut self.frame, KIND_TRUNCATE, &index.to_le_bytes());
        self.effects.push(Effect::TruncateFrom(index));
    }

    pub fn purge(&mut self, upto: &LogId) {
        push(&mut self.frame, KIND_PURGE, &codec::encode_log_id(upto));
        self.effects.push(Effect::Purge(*upto));
    }

    pub fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    pub(super) fn seal(mut self, segment: u64, number: u64) -> (Vec<u8>, Vec<Effect>) {
        frame::seal(&mut self.frame, segment, number);
        (self.frame, self.effects)
    }
}

fn push(frame: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    frame.put_u8(kind);
    frame.put_u32_le(u32::try_from(payload.len()).expect("records are bounded far below 4 GiB"));
    frame.extend_from_slice(payload);
}

/// What the first frame of each segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Cluster id and member id.
    pub identity: (u64, u64),
    pub meta: Meta,
}

impl Head {
    /// `number` is that of the data frame that follows.
    pub fn into_frame(self, segment: u64, number: u64) -> Vec<u8> {
        let mut bytes = frame::begin();
        let identity = [self.identity.0.to_le_bytes(), self.identity.1.to_le_bytes()].concat();
        push(&mut bytes, KIND_HEAD, &identity);
        if let Some(vote) = &self.meta.vote {
            push(&mut bytes, KIND_VOTE, &codec::encode_vote(vote));
        }
        if let Some(committed) = &self.meta.committed {
            push(&mut bytes, KIND_COMMITTED, &codec::encode_log_id(committed));
        }
        if let Some(purged) = &self.meta.purged {
            push(&mut bytes, KIND_PURGE, &codec::encode_log_id(purged));
        }
        frame::seal(&mut bytes, segment, number);
        bytes
    }

    pub fn parse(segment: &Bytes, body: Range<usize>) -> Result<Head, RecordError> {
        let mut records = split(segment, body)?.into_iter();
        let Some((KIND_HEAD, at)) = records.next() else { return Err(RecordError::NoHead) };
        let Ok(identity) = <[u8; 16]>::try_from(&segment[at]) else { return Err(RecordError::CutOff) };
        let (cluster, member) = identity.split_at(8);
        let id = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let mut meta = Meta::default();
        for (kind, at) in records {
            meta.apply(&effect(segment, kind, at)?);
        }
        Ok(Head { identity: (id(cluster), id(member)), meta })
    }
}

/// The last frame of a segment that has a successor.
pub fn seal_frame(segment: u64, number: u64) -> Vec<u8> {
    let mut bytes = frame::begin();
    push(&mut bytes, KIND_SEAL, &[]);
    frame::seal(&mut bytes, segment, number);
    bytes
}

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("a record is cut off inside a whole frame")]
    CutOff,
    #[error("a record has the kind {0}, which this version does not know")]
    Kind(u8),
    #[error("the first frame is no head")]
    NoHead,
    #[error("a record does not decode")]
    Decode(#[from] DecodeError),
}

/// What a data frame says; `None` if it is a seal.
pub fn parse(segment: &Bytes, body: Range<usize>) -> Result<Option<Vec<Effect>>, RecordError> {
    let records = split(segment, body)?;
    if let [(KIND_SEAL, _)] = records[..] {
        return Ok(None);
    }
    let effects = records.into_iter().map(|(kind, at)| effect(segment, kind, at));
    effects.collect::<Result<Vec<_>, _>>().map(Some)
}

fn split(segment: &[u8], body: Range<usize>) -> Result<Vec<(u8, Range<usize>)>, RecordError> {
    let mut records = Vec::new();
    let mut at = body.start;
    while at < body.end {
        let header = segment.get(at..at + RECORD_HEADER_BYTES).ok_or(RecordError::CutOff)?;
        let len = u32::from_le_bytes(header[1..].try_into().expect("four bytes")) as usize;
        let payload = at + RECORD_HEADER_BYTES..at + RECORD_HEADER_BYTES + len;
        if payload.end > body.end {
            return Err(RecordError::CutOff);
        }
        at = payload.end;
        records.push((header[0], payload));
    }
    Ok(records)
}

fn effect(segment: &Bytes, kind: u8, at: Range<usize>) -> Result<Effect, RecordError> {
    let payload = segment.slice(at.clone());
    Ok(match kind {
        KIND_ENTRY => Effect::Entry { index: codec::decode_entry(&payload)?.log_id.index, at },
        KIND_VOTE => Effect::Vote(codec::decode_vote(&payload)?),
        KIND_COMMITTED => Effect::Committed(codec::decode_log_id(&payload)?),
        KIND_PURGE => Effect::Purge(codec::decode_log_id(&payload)?),
        KIND_TRUNCATE => {
            let index = <[u8; 8]>::try_from(&payload[..]).map_err(|_| RecordError::CutOff)?;
            Effect::TruncateFrom(u64::from_le_bytes(index))
        }
        kind => return Err(RecordError::Kind(kind)),
    })
}
