//! `history KEY`: every retained version of a key, newest first, with the time that the leader gave it.
//!
//! Any etcd keeps the versions since the last compaction; a watch from there tells them all, in order. The times come from
//! our own `balsa.store.v1.History` service: a stock etcd keeps none, and then the times are not known.

use std::collections::BTreeMap;
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::etcd::mvccpb::{Event, KeyValue};
use balsa_proto::store::CommitTimesRequest;
use balsa_proto::store::history_client::HistoryClient;
use base64::Engine;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::connect::{self, Connection};
use super::failure::{BAD_FEATURE, Failure};
use super::flags::{Flags, Format};
use super::{say, watch};

/// Revisions per question for times.
const TIMES_PER_REQUEST: usize = 1_000;
/// An etcd looks every 100 ms for watchers that are behind.
const QUIET: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key
    #[arg(value_name = "KEY")]
    name: String,
    /// At most so many versions, the newest (0 is all)
    #[arg(long, default_value_t = 0)]
    limit: usize,
    /// Without values
    #[arg(long)]
    keys_only: bool,
}

/// One version of the key.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    deleted: bool,
    kv: KeyValue,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let format = flags.format();
    if !matches!(format, Format::Simple | Format::Json) {
        return Err(Failure::new(BAD_FEATURE, "history is printed as simple or json"));
    }
    let connection = connect::any(flags).await?;
    let mut changes = changes(flags, &connection, args.name.into_bytes().into()).await?;
    changes.reverse();
    if args.limit > 0 {
        changes.truncate(args.limit);
    }
    let revisions: Vec<i64> = changes.iter().map(|change| change.kv.mod_revision).collect();
    let times = times(flags, connection, &revisions).await?;
    if times.is_none() {
        eprintln!("the times are not known: this server keeps none (a stock etcd does not)");
    }
    let times = times.unwrap_or_default();
    match format {
        Format::Json => say(json(&changes, &times)),
        _ => say(changes.iter().map(|change| simple(change, &times, args.keys_only)).collect::<String>()),
    }
}

/// All that is retained, oldest first.
async fn changes(flags: &Flags, connection: &Connection, key: Bytes) -> Result<Vec<Change>, Failure> {
    let mut kv = connect::kv(flags, connection.clone());
    let now =
        connect::ask(flags, kv.range(pb::RangeRequest { key: key.clone(), ..Default::default() })).await?;
    let goal = Goal {
        revision: now.header.as_ref().map_or(0, |header| header.revision),
        newest: now.kvs.first().map(|kv| kv.mod_revision),
    };
    // What a compaction left is read at its revision; what came after it is told by a watch.
    let mut start = 1;
    loop {
        match follow(flags, connection, key.clone(), start, goal).await? {
            Followed::Compacted(revision) => {
                start = revision + 1;
            }
            Followed::All(later) if start == 1 => return Ok(later),
            Followed::All(later) => {
                let request =
                    pb::RangeRequest { key: key.clone(), revision: start - 1, ..Default::default() };
                let base = connect::ask(flags, kv.range(request)).await?;
                let base = base.kvs.into_iter().map(|kv| Change { deleted: false, kv });
                return Ok(base.chain(later).collect());
            }
        }
    }
}

/// Where a history ends.
#[derive(Debug, Clone, Copy)]
struct Goal {
    revision: i64,
    /// The key's own last change; `None` if there is no such key now.
    newest: Option<i64>,
}

impl Goal {
    /// Whether a history that ends like this is whole, as far as the key's own state can tell.
    fn agrees(self, last: Option<&Change>) -> bool {
        match (self.newest, last) {
            (Some(newest), Some(last)) => last.kv.mod_revision >= newest,
            (Some(_), None) => false,
            (None, last) => last.is_none_or(|last| last.deleted),
        }
    }
}

enum Followed {
    All(Vec<Change>),
    Compacted(i64),
}

/// A watch from `start` until the server says that nothing is left before the goal.
async fn follow(
    flags: &Flags,
    connection: &Connection,
    key: Bytes,
    start: i64,
    goal: Goal,
) -> Result<Followed, Failure> {
    let mut changes = Vec::new();
    if start > goal.revision {
        return Ok(Followed::All(changes));
    }
    let create = pb::WatchCreateRequest { key, start_revision: start, ..pb::WatchCreateRequest::default() };
    let (requests, stream) = mpsc::channel(2);
    // The channel is empty and its reader is at hand.
    let _ = requests.send(watch::wrap(RequestUnion::CreateRequest(create))).await;
    let mut client = connect::watch(flags, connection.clone());
    let mut answers = connect::ask(flags, client.watch(ReceiverStream::new(stream))).await?;
    loop {
        // An answer to a request for progress comes once this watcher has been told everything.
        let progress = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
        // With one on its way already, another is not needed.
        let _ = requests.try_send(watch::wrap(progress));
        let answer = match tokio::time::timeout(flags.command_timeout, answers.message()).await {
            Ok(answer) => answer?.ok_or_else(|| Failure::error("the server ended the watch"))?,
            Err(_) => return Err(Failure::deadline()),
        };
        if answer.compact_revision != 0 {
            return Ok(Followed::Compacted(answer.compact_revision));
        }
        if answer.canceled {
            return Err(Failure::error(answer.cancel_reason));
        }
        let progress = answer.events.is_empty() && !answer.created;
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        changes.extend(answer.events.into_iter().filter_map(change));
        if goal.newest.is_some() && goal.agrees(changes.last()) {
            return Ok(Followed::All(up_to(changes, goal)));
        }
        if progress && revision >= goal.revision && goal.agrees(changes.last()) {
            return settle(answers, changes, goal).await.map(Followed::All);
        }
    }
}

/// What still comes after progress was told: an etcd before 3.4.25 and 3.5.8 tells it ahead of events (#15220).
async fn settle(
    mut answers: tonic::Streaming<pb::WatchResponse>,
    mut changes: Vec<Change>,
    goal: Goal,
) -> Result<Vec<Change>, Failure> {
    while let Ok(answer) = tokio::time::timeout(QUIET, answers.message()).await {
        let Some(answer) = answer? else { break };
        changes.extend(answer.events.into_iter().filter_map(change));
    }
    Ok(up_to(changes, goal))
}

fn up_to(mut changes: Vec<Change>, goal: Goal) -> Vec<Change> {
    changes.retain(|change| change.kv.mod_revision <= goal.revision);
    changes
}

fn change(event: Event) -> Option<Change> {
    Some(Change { deleted: event.r#type != 0, kv: event.kv? })
}

/// Milliseconds since 1970, by revision; `None` if the server has no such service.
async fn times(
    flags: &Flags,
    connection: Connection,
    revisions: &[i64],
) -> Result<Option<BTreeMap<i64, i64>>, Failure> {
    let mut client = HistoryClient::new(connection);
    let mut times = BTreeMap::new();
    for some in revisions.chunks(TIMES_PER_REQUEST) {
        let request = CommitTimesRequest { revisions: some.to_vec() };
        match tokio::time::timeout(flags.command_timeout, client.commit_times(request)).await {
            Ok(Ok(answer)) => times.extend(some.iter().copied().zip(answer.into_inner().unix_ms)),
            Ok(Err(status)) if status.code() == Code::Unimplemented => return Ok(None),
            Ok(Err(status)) => return Err(status.into()),
            Err(_) => return Err(Failure::deadline()),
        }
    }
    times.retain(|_, unix_ms| *unix_ms > 0);
    Ok(Some(times))
}

/// As RFC 3339 writes it, in UTC.
fn time_text(times: &BTreeMap<i64, i64>, revision: i64) -> Option<String> {
    let unix_ms = times.get(&revision)?;
    jiff::Timestamp::from_millisecond(*unix_ms).ok().map(|time| format!("{time:.3}"))
}

fn simple(change: &Change, times: &BTreeMap<i64, i64>, keys_only: bool) -> String {
    let Change { deleted, kv } = change;
    let time = time_text(times, kv.mod_revision).unwrap_or_else(|| "time not known".into());
    if *deleted {
        return format!("revision {}  {time}  DELETE\n", kv.mod_revision);
    }
    let lease = if kv.lease == 0 { String::new() } else { format!("  lease {:016x}", kv.lease) };
    let head = format!("revision {}  {time}  PUT  version {}{lease}\n", kv.mod_revision, kv.version);
    if keys_only { head } else { format!("{head}{}\n", String::from_utf8_lossy(&kv.value)) }
}

fn json(changes: &[Change], times: &BTreeMap<i64, i64>) -> String {
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let rows: Vec<_> = changes
        .iter()
        .map(|Change { deleted, kv }| {
            serde_json::json!({
                "mod_revision": kv.mod_revision,
                "type": if *deleted { "DELETE" } else { "PUT" },
                "create_revision": kv.create_revision,
                "version": kv.version,
                "lease": kv.lease,
                "value": base64(&kv.value),
                "time": time_text(times, kv.mod_revision),
            })
        })
        .collect();
    serde_json::json!({ "history": rows }).to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(revision: i64, deleted: bool) -> Change {
        Change { deleted, kv: KeyValue { mod_revision: revision, ..KeyValue::default() } }
    }

    #[test]
    fn a_history_is_whole_when_it_ends_as_the_key_is() {
        let there = Goal { revision: 9, newest: Some(5) };
        assert!(there.agrees(Some(&change(5, false))) && !there.agrees(Some(&change(4, false))));
        assert!(!there.agrees(None));
        let gone = Goal { revision: 9, newest: None };
        assert!(gone.agrees(None) && gone.agrees(Some(&change(4, true))));
        assert!(!gone.agrees(Some(&change(4, false))));
    }

    #[test]
    fn times_are_written_in_utc() {
        let times = BTreeMap::from([(3, 1_700_000_000_123)]);
        assert_eq!(time_text(&times, 3).as_deref(), Some("2023-11-14T22:13:20.123Z"));
        assert_eq!(time_text(&times, 4), None);
    }
}
