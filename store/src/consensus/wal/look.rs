//! A log looked at without touching it: for `balsactl inspect`, also beside a member that runs.
//!
//! Read-only: nothing is created, repaired or locked. It stops where a chain ends, be it torn, damaged or being written;
//! opening it in earnest ([`super::open`]) is what tells these apart.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use balsa_proto::store::CommandBatch;
use balsa_proto::store::command::Op;
use bytes::Bytes;
use prost::Message;

use super::frame::{self, Found};
use super::open::OpenError;
use super::record::{self, Effect, Head, Meta};
use super::segment;
use crate::consensus::codec;
use crate::consensus::types::{Entry, Payload};

/// What a log says of itself.
#[derive(Debug, Default)]
pub struct Look {
    /// Cluster id and member id.
    pub identity: (u64, u64),
    pub meta: Meta,
    entries: BTreeMap<u64, Bytes>,
}

/// One entry, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct EntryLook {
    pub index: u64,
    pub term: u64,
    pub leader: u64,
    pub bytes: usize,
    pub what: String,
}

pub fn look(dir: &Path) -> Result<Look, OpenError> {
    let mut look = Look::default();
    for number in segments(dir)? {
        look.read(dir, number)?;
    }
    Ok(look)
}

fn segments(dir: &Path) -> Result<Vec<u64>, OpenError> {
    let failed = |source| OpenError::Io { path: dir.to_owned(), source };
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(segment::SUFFIX));
        numbers.extend(number.and_then(|number| u64::from_str_radix(number, 16).ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

impl Look {
    /// Indexes of the first and the last entry.
    pub fn range(&self) -> Option<RangeInclusive<u64>> {
        let (first, last) = (self.entries.first_key_value()?, self.entries.last_key_value()?);
        Some(*first.0..=*last.0)
    }

    /// The last entries, oldest first.
    pub fn last(&self, most: usize) -> Vec<EntryLook> {
        let mut last: Vec<_> =
            self.entries.iter().rev().take(most).map(|(index, record)| describe(*index, record)).collect();
        last.reverse();
        last
    }

    fn read(&mut self, dir: &Path, number: u64) -> Result<(), OpenError> {
        let path = dir.join(segment::file_name(number));
        let bytes = std::fs::read(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
        let bytes = Bytes::from(bytes);
        let mut at = 0;
        while let Found::Frame { body, .. } = frame::look(&bytes, at, number) {
            let failed = |source| OpenError::Record { path: path.clone(), offset: at, source };
            let end = body.end;
            if at == 0 {
                let head = Head::parse(&bytes, body).map_err(failed)?;
                (self.identity, self.meta) = (head.identity, head.meta);
            } else if let Some(effects) = record::parse(&bytes, body).map_err(failed)? {
                effects.iter().for_each(|effect| self.apply(effect, &bytes));
            }
            at = end;
        }
        Ok(())
    }

    fn apply(&mut self, effect: &Effect, segment: &Bytes) {
        self.meta.apply(effect);
        match effect {
            Effect::Entry { index, at } => {
                self.entries.insert(*index, segment.slice(at.clone()));
            }
            Effect::TruncateFrom(index) => drop(self.entries.split_off(index)),
            Effect::Purge(upto) => self.entries = self.entries.split_off(&(upto.index + 1)),
            Effect::Vote(_) | Effect::Committed(_) => {}
        }
    }
}

fn describe(index: u64, record: &Bytes) -> EntryLook {
    let bytes = record.len();
    match codec::decode_entry(record) {
        Ok(Entry { log_id, payload }) => EntryLook {
            index,
            term: log_id.leader_id.term,
            leader: log_id.leader_id.node_id,
            bytes,
            what: words(&payload),
        },
        Err(error) => EntryLook { index, term: 0, leader: 0, bytes, what: format!("BROKEN: {error}") },
    }
}

fn words(payload: &Payload) -> String {
    match payload {
        Payload::Blank => "blank".into(),
        Payload::Membership(membership) => {
            let voters: Vec<_> = membership.voter_ids().map(|id| format!("{id:x}")).collect();
            format!("membership: voters {}", voters.join(" "))
        }
        Payload::Normal(batch) => match CommandBatch::decode(batch.bytes.clone()) {
            Ok(batch) => {
                let words: Vec<_> = batch.commands.iter().map(|command| word(command.op.as_ref())).collect();
                words.join(", ")
            }
            Err(error) => format!("BROKEN: {error}"),
        },
    }
}

fn word(op: Option<&Op>) -> String {
    let text = String::from_utf8_lossy;
    match op {
        Some(Op::Put(put)) => format!("put {} ({} bytes)", text(&put.key), put.value.len()),
        Some(Op::DeleteRange(delete)) if delete.range_end.is_empty() => {
            format!("delete {}", text(&delete.key))
        }
        Some(Op::DeleteRange(delete)) => {
            format!("delete [{}, {})", text(&delete.key), text(&delete.range_end))
        }
        Some(Op::Txn(txn)) => {
            format!("txn of {}, {} and {} parts", txn.compare.len(), txn.success.len(), txn.failure.len())
        }
        Some(Op::Compaction(compaction)) => format!("compact {}", compaction.revision),
        Some(Op::LeaseGrant(lease)) => format!("grant lease {:016x} for {} s", lease.id, lease.ttl),
        Some(Op::LeaseRevoke(lease)) => format!("revoke lease {:016x}", lease.id),
        Some(Op::MemberAttributes(member)) => format!("member {:x} is {}", member.member_id, member.name),
        // Secrets travel in some of them: the kind is all that is said.
        Some(other) => kind(other),
        None => "a command of a newer version".into(),
    }
}

/// The name of the variant alone.
fn kind(op: &Op) -> String {
    let text = format!("{op:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}
