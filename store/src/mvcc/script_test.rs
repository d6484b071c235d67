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

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::mvccpb::KeyValue;
use balsa_proto::store::{Command, CommandBatch, command::Op};
use bytes::Bytes;

use crate::apply::{Applier, AppliedPosition, ApplyOptions, Reply};
use crate::backend::{Backend, Column, MemoryBackend, RocksBackend};
use crate::error::Error;
use crate::lease::Lessor;
use crate::mvcc::codec::{self, Kind, Record};
use crate::mvcc::Mvcc;

#[test]
fn scripts_on_memory() {
    let mut kept: BTreeMap<PathBuf, Arc<dyn Backend>> = BTreeMap::new();
    run_all(&mut |root| kept.entry(root.to_path_buf()).or_insert_with(|| Arc::new(MemoryBackend::new())).clone());
}

#[test]
fn scripts_on_rocks() {
    run_all(&mut |root| Arc::new(RocksBackend::open(root).expect("the folder is writable")));
}

fn run_all(open: &mut dyn FnMut(&Path) -> Arc<dyn Backend>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mvcc");
    let mut scripts: Vec<_> = std::fs::read_dir(&dir).expect("testdata is there").map(|e| e.expect("readable").path()).collect();
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
        assert!(actual == text || std::env::var_os("UPDATE_EXPECT").is_some(),
            "{} differs; now it says\n{actual}\nREPLAY {replay}", script.display());
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
    fn open(root: &Path, open: &mut dyn FnMut(&Path) -> Arc<dyn Backend>) -> Self {
        let mut machine = Self { root: root.into(), state: None, log_index: 0, open: None, checkpoints: 0 };
        machine.reopen(open);
        machine
    }

    fn reopen(&mut self, open: &mut dyn FnMut(&Path) -> Arc<dyn Backend>) {
        self.state = None;
        // The removal thread of the old state may hold the backend for one more step.
        let backend = open(&self.root.join("state"));
        let (applier, mvcc, _, lessor) = Applier::open(backend, ApplyOptions::default()).expect("opens");
        self.log_index = applier.applied_index();
        self.state = Some((applier, mvcc, lessor));
    }

    fn run(&mut self, text: &str, open: &mut dyn FnMut(&Path) -> Arc<dyn Backend>) -> String {
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

    fn step(&mut self, command: &str, open: &mut dyn FnMut(&Path) -> Arc<dyn Backend>) -> String {
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
                tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(mvcc.compaction_removed(target));
                String::new()
            }
            "dump" => dump(&*self.mvcc().version().backend),
            "get" if self.open.is_none() => {
                let answer = self.mvcc().range(&range_request(&words[1..]));
                answer.map_or_else(failed, |response| range_text(&response))
            }
            "lease" => {
                let id = words[1].parse().expect("a lease id");
                match self.state().2.time_to_live(id, true) {
                    Some(ttl) => format!("granted={} keys={:?}\n", ttl.granted_seconds, ttl.keys),
                    None => "no lease\n".into(),
                }
            }
            _ => {
                let op = parse_op(command);
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
        let position = AppliedPosition { log_index: self.log_index, log_id: Bytes::from_static(b"id"), membership: None };
        let command = |op| Command { request_id: 1, unix_ms: 0, op: Some(op) };
        let batch = CommandBatch { commands: ops.into_iter().map(command).collect() };
        let replies = self.state().0.apply(&[(position, batch)]).expect("applies");
        replies.into_iter().flatten().map(|reply| reply.map_or_else(failed, |reply| reply_text(&reply))).collect()
    }
}

fn failed(error: Error) -> String {
    format!("error {error:?}\n")
}

fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn number(words: &[&str], name: &str) -> i64 {
    option(words, name).map_or(0, |word| word.parse().expect("a number"))
}

fn positional<'a>(words: &[&'a str]) -> Vec<&'a str> {
    const FLAGS: [&str; 5] = ["prev_kv", "ignore_value", "ignore_lease", "keys_only", "count_only"];
    words.iter().filter(|word| !word.contains('=') && !FLAGS.contains(word)).copied().collect()
}

/// `\0` stands for the zero byte.
fn key(word: &str) -> Bytes {
    word.replace("\\0", "\0").into_bytes().into()
}

fn range_request(words: &[&str]) -> pb::RangeRequest {
    let keys = positional(words);
    pb::RangeRequest {
        key: key(keys[0]),
        range_end: keys.get(1).map(|end| key(end)).unwrap_or_default(),
        limit: number(words, "limit"),
        revision: number(words, "rev"),
        sort_order: option(words, "order").map_or(0, |order| if order == "desc" { 2 } else { 1 }),
        sort_target: match option(words, "by") {
            None | Some("key") => 0,
            Some("version") => 1,
            Some("create") => 2,
            Some("mod") => 3,
            Some("value") => 4,
            Some(other) => panic!("no such target: {other}"),
        },
        keys_only: words.contains(&"keys_only"),
        count_only: words.contains(&"count_only"),
        min_mod_revision: number(words, "min_mod"),
        max_mod_revision: number(words, "max_mod"),
        min_create_revision: number(words, "min_create"),
        max_create_revision: number(words, "max_create"),
        ..pb::RangeRequest::default()
    }
}

fn parse_op(command: &str) -> Op {
    let words: Vec<&str> = command.split_whitespace().collect();
    let args = &words[1..];
    let id = |at: usize| args[at].parse().expect("a number");
    match words[0] {
        "put" => Op::Put(put_request(args)),
        "del" => Op::DeleteRange(delete_request(args)),
        "txn" => Op::Txn(txn_request(command)),
        "compact" => Op::Compaction(pb::CompactionRequest { revision: id(0), physical: false }),
        "grant" => Op::LeaseGrant(pb::LeaseGrantRequest { id: id(0), ttl: id(1) }),
        "revoke" => Op::LeaseRevoke(pb::LeaseRevokeRequest { id: id(0) }),
        other => panic!("no such command: {other}"),
    }
}

fn put_request(words: &[&str]) -> pb::PutRequest {
    let args = positional(words);
    pb::PutRequest {
        key: key(args[0]),
        value: args.get(1).map(|value| key(value)).unwrap_or_default(),
        lease: number(words, "lease"),
        prev_kv: words.contains(&"prev_kv"),
        ignore_value: words.contains(&"ignore_value"),
        ignore_lease: words.contains(&"ignore_lease"),
    }
}

fn delete_request(words: &[&str]) -> pb::DeleteRangeRequest {
    let args = positional(words);
    let range_end = args.get(1).map(|end| key(end)).unwrap_or_default();
    pb::DeleteRangeRequest { key: key(args[0]), range_end, prev_kv: words.contains(&"prev_kv") }
}

fn txn_request(command: &str) -> pb::TxnRequest {
    let mut request = pb::TxnRequest::default();
    for clause in command.trim_start_matches("txn").split(';') {
        let words: Vec<&str> = clause.split_whitespace().collect();
        match words.first() {
            Some(&"if") => request.compare.push(compare(&words[1..])),
            Some(&"then") => request.success.push(operation(&words[1..])),
            Some(&"else") => request.failure.push(operation(&words[1..])),
            _ => panic!("no such clause: {clause}"),
        }
    }
    request
}

fn compare(words: &[&str]) -> pb::Compare {
    use pb::compare::TargetUnion;
    let value = || words[3].parse().expect("a number");
    let (target, union) = match words[0] {
        "version" => (0, TargetUnion::Version(value())),
        "create" => (1, TargetUnion::CreateRevision(value())),
        "mod" => (2, TargetUnion::ModRevision(value())),
        "value" => (3, TargetUnion::Value(key(words[3]))),
        "lease" => (4, TargetUnion::Lease(value())),
        other => panic!("no such target: {other}"),
    };
    let result = ["=", ">", "<", "!="].iter().position(|sign| *sign == words[2]).expect("an operator") as i32;
    pb::Compare { result, target, key: key(words[1]), target_union: Some(union), ..pb::Compare::default() }
}

fn operation(words: &[&str]) -> pb::RequestOp {
    use pb::request_op::Request;
    let request = match words[0] {
        "put" => Request::RequestPut(put_request(&words[1..])),
        "get" => Request::RequestRange(range_request(&words[1..])),
        "del" => Request::RequestDeleteRange(delete_request(&words[1..])),
        other => panic!("no such operation: {other}"),
    };
    pb::RequestOp { request: Some(request) }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn row_text(row: &KeyValue) -> String {
    let lease = if row.lease == 0 { String::new() } else { format!(" lease={}", row.lease) };
    let (key, value) = (text(&row.key), text(&row.value));
    format!("  {key}={value} create={} mod={} version={}{lease}\n", row.create_revision, row.mod_revision, row.version)
}

fn range_text(response: &pb::RangeResponse) -> String {
    let mut out: String = response.kvs.iter().map(row_text).collect();
    let more = if response.more { " more" } else { "" };
    writeln!(out, "count={}{more} rev={}", response.count, revision(&response.header)).expect("strings take everything");
    out
}

fn revision(header: &Option<pb::ResponseHeader>) -> i64 {
    header.as_ref().expect("a header").revision
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Put(put) => {
            let prev: String = put.prev_kv.iter().map(row_text).collect();
            format!("{prev}put rev={}\n", revision(&put.header))
        }
        Reply::DeleteRange(delete) => {
            let prev: String = delete.prev_kvs.iter().map(row_text).collect();
            format!("{prev}deleted={} rev={}\n", delete.deleted, revision(&delete.header))
        }
        Reply::Txn(txn) => {
            let mut out = String::new();
            for response in &txn.responses {
                use pb::response_op::Response;
                out.push_str(&match response.response.clone().expect("a response") {
                    Response::ResponseRange(range) => range_text(&range),
                    Response::ResponsePut(put) => reply_text(&Reply::Put(put)),
                    Response::ResponseDeleteRange(delete) => reply_text(&Reply::DeleteRange(delete)),
                    Response::ResponseTxn(txn) => reply_text(&Reply::Txn(txn)),
                });
            }
            format!("{out}succeeded={} rev={}\n", txn.succeeded, revision(&txn.header))
        }
        Reply::Compaction(compaction) => format!("compacted rev={}\n", revision(&compaction.header)),
        Reply::LeaseGrant(grant) => format!("granted id={} ttl={} rev={}\n", grant.id, grant.ttl, revision(&grant.header)),
        Reply::LeaseRevoke(revoke) => format!("revoked rev={}\n", revision(&revoke.header)),
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
            writeln!(out, "  {} {revision} {kind} {}", column.name(), text(&key)).expect("strings take everything");
        }
    }
    out
}
