//! Runs `testdata/mvcc/*.txt` over both backends. A script is commands (`> …`) with the output that follows each;
//! `UPDATE_EXPECT=1` rewrites the outputs. Both backends must give the same.
//!
//! | command | does |
//! |---|---|
//! | `put KEY VALUE [lease=N] [prev_kv] [ignore_value] [ignore_lease]` | |
//! | `get KEY [END] [rev= limit= order= by= min_mod= max_mod= min_create= max_create=] [keys_only] [count_only]` | |
//! | `del KEY [END] [prev_kv]`, `compact REV`, `grant ID TTL`, `revoke ID`, `lease ID` | |
//! | `txn if … ; then … ; else …` | compares are `mod KEY = 3`, `value KEY > x` |
//! | `begin` … `commit` | what is between goes to one apply call |
//! | `removed` | waits until the removal of the last compaction is done |
//! | `dump` | every record that the backend holds |
//! | `reopen` | closes the state and opens it again |
//! | `checkpoint`, `install` | takes a checkpoint; replaces the state by it |

#[path = "script_syntax.rs"]
mod script_syntax;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use balsa_proto::store::{Command, CommandBatch, command::Op};
use bytes::Bytes;

use crate::apply::{AppliedPosition, Applier, ApplyOptions, Reply};
use crate::backend::{Backend, Column, MemoryBackend, RocksBackend};
use crate::error::Error;
use crate::lease::Lessor;
use crate::mvcc::Mvcc;
use crate::mvcc::codec::{self, Kind, Record};
use script_syntax::{Request, Show, parse};

/// Opens the state in a folder, given what was open there before.
type Open<'a> = &'a mut dyn FnMut(&Path, Option<Arc<dyn Backend>>) -> Arc<dyn Backend>;

#[test]
fn scripts_on_memory() {
    run_all(&mut |_, previous| previous.unwrap_or_else(|| Arc::new(MemoryBackend::new())));
}

#[test]
fn scripts_on_rocks() {
    run_all(&mut |root, previous| {
        drop(previous);
        Arc::new(RocksBackend::open(root, None).expect("the folder is writable"))
    });
}

fn run_all(open: Open<'_>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mvcc");
    let mut scripts: Vec<_> =
        std::fs::read_dir(&dir).expect("testdata is there").map(|e| e.expect("readable").path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    for script in scripts {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let text = std::fs::read_to_string(&script).expect("readable");
        let mut machine = Machine::open(scratch.path(), open);
        let actual = machine.run(&text, open);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&script, &actual).expect("writable");
        }
        let replay = "UPDATE_EXPECT=1 cargo test -p balsa-store scripts_on";
        assert!(
            actual == text || std::env::var_os("UPDATE_EXPECT").is_some(),
            "{} differs; now it says\n{actual}\nREPLAY {replay}",
            script.display()
        );
    }
}

struct Machine {
    root: PathBuf,
    state: Option<(Applier, Mvcc, Lessor)>,
    log_index: u64,
    /// Commands since `begin`.
    open: Option<Vec<Op>>,
    checkpoints: u32,
}

impl Machine {
    fn open(root: &Path, open: Open<'_>) -> Self {
        let mut machine = Self { root: root.into(), state: None, log_index: 0, open: None, checkpoints: 0 };
        machine.reopen(open);
        machine
    }

    fn reopen(&mut self, open: Open<'_>) {
        let previous = self.state.take().map(|(_, mvcc, _)| mvcc.version().backend.clone());
        let backend = open(&self.root.join("state"), previous);
        let (applier, mvcc, _, lessor) = Applier::open(backend, ApplyOptions::default()).expect("opens");
        self.log_index = applier.applied_index();
        self.state = Some((applier, mvcc, lessor));
    }

    fn run(&mut self, text: &str, open: Open<'_>) -> String {
        let mut out = String::new();
        for line in text.lines() {
            if line.is_empty() || line.starts_with('#') {
                writeln!(out, "{line}").expect("strings take everything");
            } else if let Some(command) = line.strip_prefix("> ") {
                writeln!(out, "{line}").expect("strings take everything");
                out.push_str(&self.step(command, open));
            }
        }
        out
    }

    fn step(&mut self, command: &str, open: Open<'_>) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[0] {
            "begin" => {
                self.open = Some(Vec::new());
                String::new()
            }
            "commit" => {
                let ops = self.open.take().expect("begin comes before commit");
                self.apply(ops)
            }
            "reopen" => {
                self.reopen(open);
                format!("rev={} compacted={}\n", self.mvcc().revision(), self.mvcc().compact_revision())
            }
            "checkpoint" => {
                self.checkpoints += 1;
                let dir = self.checkpoint_dir();
                self.state().0.checkpoint(&dir).expect("checkpoints");
                String::new()
            }
            "install" => {
                let dir = self.checkpoint_dir();
                self.state().0.install(&dir).expect("installs");
                self.log_index = self.state().0.applied_index();
                format!("rev={} compacted={}\n", self.mvcc().revision(), self.mvcc().compact_revision())
            }
            "removed" => {
                let mvcc = self.mvcc().clone();
                let target = mvcc.compact_revision();
                tokio::runtime::Builder::new_current_thread()
                    .build()
                    .expect("a runtime")
                    .block_on(mvcc.compaction_removed(target));
                String::new()
            }
            "dump" => dump(&*self.mvcc().version().backend),
            "get" if self.open.is_none() => {
                let Request::Range(request) = parse(command, SHOW) else { unreachable!("it says get") };
                self.mvcc().range(&request).map_or_else(failed, |response| SHOW.range(&response))
            }
            "lease" => {
                let id = words[1].parse().expect("a lease id");
                match self.state().2.time_to_live(id, true) {
                    Some(ttl) => format!("granted={} keys={:?}\n", ttl.granted_seconds, ttl.keys),
                    None => "no lease\n".into(),
                }
            }
            _ => {
                let op = op(command);
                match &mut self.open {
                    Some(ops) => {
                        ops.push(op);
                        String::new()
                    }
                    None => self.apply(vec![op]),
                }
            }
        }
    }

    fn checkpoint_dir(&self) -> PathBuf {
        self.root.join(format!("checkpoint{}", self.checkpoints))
    }

    fn state(&mut self) -> &mut (Applier, Mvcc, Lessor) {
        self.state.as_mut().expect("open")
    }

    fn mvcc(&mut self) -> &Mvcc {
        &self.state().1
    }

    fn apply(&mut self, ops: Vec<Op>) -> String {
        self.log_index += 1;
        let position = AppliedPosition {
            log_index: self.log_index,
            log_id: Bytes::from_static(b"id"),
            membership: None,
        };
        let command = |op| Command { request_id: 1, op: Some(op), ..Command::default() };
        let batch = CommandBatch { commands: ops.into_iter().map(command).collect() };
        let replies = self.state().0.apply(&[(position, batch)]).expect("applies");
        replies.into_iter().flatten().map(|reply| reply.map_or_else(failed, |reply| text(&reply))).collect()
    }
}

/// Revisions as they are.
const SHOW: Show = Show { base: 1 };

fn failed(error: Error) -> String {
    format!("error {error:?}\n")
}

fn op(command: &str) -> Op {
    match parse(command, SHOW) {
        Request::Put(request) => Op::Put(request),
        Request::DeleteRange(request) => Op::DeleteRange(request),
        Request::Txn(request) => Op::Txn(request),
        Request::Compaction(request) => Op::Compaction(request),
        Request::LeaseGrant(request) => Op::LeaseGrant(request),
        Request::LeaseRevoke(request) => Op::LeaseRevoke(request),
        Request::Range(_) => panic!("a read is no command: {command}"),
    }
}

fn text(reply: &Reply) -> String {
    match reply {
        Reply::Put(response) => SHOW.put(response),
        Reply::DeleteRange(response) => SHOW.delete(response),
        Reply::Txn(response) => SHOW.txn(response),
        Reply::Compaction(response) => SHOW.compaction(response),
        Reply::LeaseGrant(response) => SHOW.grant(response),
        Reply::LeaseRevoke(response) => SHOW.revoke(response),
        Reply::Members(members) => format!("{} members\n", members.len()),
        Reply::Alarm(response) => format!("alarms {:?}\n", response.alarms),
        Reply::Auth(changed) => format!("auth rev={}\n", changed.revision),
        Reply::Done => "done\n".into(),
    }
}

fn dump(backend: &dyn Backend) -> String {
    let mut out = String::new();
    for column in [Column::Kv, Column::Log] {
        let records = backend.read(|view| {
            let mut cursor = view.cursor(column, &[], &[]);
            cursor.seek(&[])?;
            let mut records = Vec::new();
            while let Some((key, value)) = cursor.item() {
                records.push((key.to_vec(), Bytes::copy_from_slice(value)));
                cursor.next()?;
            }
            Ok(records)
        });
        for (at, bytes) in records.expect("readable") {
            let record = Record::decode(bytes).expect("a record");
            let kind = if record.meta.kind == Kind::Put { "put" } else { "del" };
            let (key, revision) = match column {
                Column::Kv => codec::parse_kv_key(&at).expect("a key"),
                _ => (record.payload.to_vec(), codec::parse_log_key(&at).expect("a revision")),
            };
            writeln!(out, "  {} {revision} {kind} {}", column.name(), key.escape_ascii())
                .expect("strings take everything");
        }
    }
    out
}
