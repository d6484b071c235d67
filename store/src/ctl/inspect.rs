//! `inspect DATA_DIR`: what is in a member's data directory, without a server and without changing a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::{BAD_ARGS, Failure};
use super::flags::{Flags, Format};
use super::say;
use crate::apply::applier;
use crate::backend::{Backend, BackendError, Column, RocksBackend};
use crate::consensus::wal::look::{self, EntryLook, Look};
use crate::mvcc::load::{self, Loaded};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The store's `--data-dir`
    #[arg(value_name = "DATA_DIR")]
    data_dir: PathBuf,
    /// Print the last entries of the raft log, at most so many
    #[arg(long, default_value_t = 10)]
    entries: usize,
}

/// What the state says of itself.
struct State {
    applied_index: u64,
    revision: i64,
    compact_revision: i64,
    keys: usize,
    leases: usize,
    members: Vec<(u64, String)>,
}

pub fn run(flags: &Flags, args: &Args) -> Result<(), Failure> {
    let member = args.data_dir.join("member");
    let log = look::look(&member.join("wal")).map_err(|error| unreadable(&member, &error))?;
    let state = state(&member.join("state")).map_err(|error| unreadable(&member, &error))?;
    let entries = log.last(args.entries);
    match flags.format() {
        Format::Json => say(json(&log, &state, &entries)),
        _ => say(text(&log, &state, &entries)),
    }
}

fn unreadable(member: &Path, error: &dyn std::error::Error) -> Failure {
    let mut text = format!("{} does not read: {error}", member.display());
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    Failure::new(BAD_ARGS, text)
}

fn state(dir: &Path) -> Result<State, BackendError> {
    let backend: Arc<dyn Backend> = Arc::new(RocksBackend::open_read_only(dir)?);
    let Loaded { version, .. } = load::load(&backend)?;
    let leases = backend.read(|view| {
        let mut cursor = view.cursor(Column::Lease, &[], &[]);
        cursor.seek(&[])?;
        let mut leases = 0;
        while cursor.item().is_some() {
            leases += 1;
            cursor.next()?;
        }
        Ok(leases)
    })?;
    Ok(State {
        applied_index: applier::applied_index(&*backend)?,
        revision: version.revision,
        compact_revision: version.compact_revision,
        keys: version.index.len(),
        leases,
        members: version.members.iter().map(|member| (member.member_id, member.name.clone())).collect(),
    })
}

fn text(log: &Look, state: &State, entries: &[EntryLook]) -> String {
    let (cluster, member) = log.identity;
    let position = |id: &Option<crate::consensus::types::LogId>| match id {
        Some(id) => format!("{} (term {})", id.index, id.leader_id.term),
        None => "none".into(),
    };
    let vote = match &log.meta.vote {
        Some(vote) => format!("term {} for {:x}", vote.leader_id.term, vote.leader_id.node_id),
        None => "none".into(),
    };
    let range = match log.range() {
        Some(range) => format!("{} to {}", range.start(), range.end()),
        None => "none".into(),
    };
    let mut out = format!(
        "cluster id        {cluster:x}\nmember id         {member:x}\nvote              {vote}\nentries           {range}\n\
         purged up to      {}\ncommitted         {}\napplied           {}\nrevision          {}\ncompact revision  {}\n\
         keys              {}\nleases            {}\n",
        position(&log.meta.purged),
        position(&log.meta.committed),
        state.applied_index,
        state.revision,
        state.compact_revision,
        state.keys,
        state.leases,
    );
    for (id, name) in &state.members {
        out.push_str(&format!("member            {id:x} {name}\n"));
    }
    for EntryLook { index, term, leader, bytes, what } in entries {
        out.push_str(&format!("entry {index}  term {term}  leader {leader:x}  {bytes} bytes  {what}\n"));
    }
    out
}

fn json(log: &Look, state: &State, entries: &[EntryLook]) -> String {
    let (cluster_id, member_id) = log.identity;
    let index = |id: &Option<crate::consensus::types::LogId>| id.as_ref().map(|id| id.index);
    let entries: Vec<_> = entries
        .iter()
        .map(|entry| {
            serde_json::json!({"index": entry.index, "term": entry.term, "leader": entry.leader,
                               "bytes": entry.bytes, "what": entry.what})
        })
        .collect();
    serde_json::json!({
        "cluster_id": cluster_id,
        "member_id": member_id,
        "vote_term": log.meta.vote.as_ref().map(|vote| vote.leader_id.term),
        "first_index": log.range().map(|range| *range.start()),
        "last_index": log.range().map(|range| *range.end()),
        "purged_index": index(&log.meta.purged),
        "committed_index": index(&log.meta.committed),
        "applied_index": state.applied_index,
        "revision": state.revision,
        "compact_revision": state.compact_revision,
        "keys": state.keys,
        "leases": state.leases,
        "entries": entries,
    })
    .to_string()
        + "\n"
}
