//! Random histories against a naive model: every revision's whole map is kept, and every read is a filter over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::store::{Command, CommandBatch, command::Op};
use bytes::Bytes;
use proptest::prelude::*;

use super::{KeyRange, Mvcc};
use crate::apply::{AppliedPosition, Applier, ApplyOptions};
use crate::backend::{Backend, MemoryBackend};
use crate::error::Error;

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8, u8),
    /// Puts of different keys and a read of the past, in one transaction.
    Txn(u8, u8),
    /// Some revisions back from now.
    Compact(u8),
    Reopen,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    create: i64,
    modified: i64,
    version: i64,
    value: Vec<u8>,
}

type Rows = BTreeMap<Vec<u8>, Row>;

struct Model {
    history: BTreeMap<i64, Rows>,
    compacted: i64,
}

impl Model {
    fn now(&self) -> (i64, &Rows) {
        let (revision, rows) = self.history.last_key_value().expect("starts with one");
        (*revision, rows)
    }

    fn change(&mut self, change: impl FnOnce(i64, &mut Rows)) {
        let (revision, rows) = self.now();
        let (next, mut rows) = (revision + 1, rows.clone());
        let before = rows.clone();
        change(next, &mut rows);
        if rows != before {
            self.history.insert(next, rows);
        }
    }
}

fn put(rows: &mut Rows, revision: i64, key: u8, value: u8) {
    let old = rows.get(&vec![key]);
    let (create, version) = old.map_or((revision, 1), |old| (old.create, old.version + 1));
    rows.insert(vec![key], Row { create, modified: revision, version, value: vec![value] });
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..12, any::<u8>()).prop_map(|(key, value)| Step::Put(key + 1, value)),
        3 => (0u8..12, 0u8..13).prop_map(|(start, end)| Step::Delete(start + 1, end + 1)),
        2 => (0u8..11, any::<u8>()).prop_map(|(key, value)| Step::Txn(key + 1, value)),
        1 => (0u8..10).prop_map(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

fn single(key: u8) -> Bytes {
    Bytes::copy_from_slice(&[key])
}

fn put_request(key: u8, value: u8) -> pb::PutRequest {
    pb::PutRequest { key: single(key), value: single(value), ..pb::PutRequest::default() }
}

fn op(step: &Step, now: i64) -> Option<Op> {
    Some(match step {
        Step::Put(key, value) => Op::Put(put_request(*key, *value)),
        Step::Delete(start, end) => Op::DeleteRange(pb::DeleteRangeRequest {
            key: single(*start),
            range_end: single(*end),
            prev_kv: false,
        }),
        Step::Txn(key, value) => {
            let puts =
                [*key, *key + 1].map(|key| pb::request_op::Request::RequestPut(put_request(key, *value)));
            let success = puts.map(|put| pb::RequestOp { request: Some(put) }).to_vec();
            Op::Txn(pb::TxnRequest { success, ..pb::TxnRequest::default() })
        }
        Step::Compact(back) => {
            Op::Compaction(pb::CompactionRequest { revision: now - i64::from(*back), physical: false })
        }
        Step::Reopen => return None,
    })
}

fn imitate(model: &mut Model, step: &Step) {
    match step {
        Step::Put(key, value) => model.change(|revision, rows| put(rows, revision, *key, *value)),
        Step::Delete(start, end) => {
            let range = KeyRange::new(&[*start], &[*end]);
            model.change(|_, rows| rows.retain(|key, _| !range.contains(key)));
        }
        Step::Txn(key, value) => model.change(|revision, rows| {
            put(rows, revision, *key, *value);
            put(rows, revision, *key + 1, *value);
        }),
        Step::Compact(back) => {
            let target = model.now().0 - i64::from(*back);
            model.compacted = model.compacted.max(target);
        }
        Step::Reopen => {}
    }
}

fn compare(mvcc: &Mvcc, model: &Model, range: (u8, u8), limit: i64) {
    let (now, _) = model.now();
    assert_eq!(mvcc.revision(), now);
    let keys = KeyRange::new(&[range.0], &[range.1]);
    for (revision, rows) in &model.history {
        let request = pb::RangeRequest {
            key: single(range.0),
            range_end: single(range.1),
            revision: *revision,
            limit,
            ..pb::RangeRequest::default()
        };
        let answer = mvcc.range(&request);
        if *revision < model.compacted {
            assert_eq!(answer, Err(Error::Compacted), "at {revision}");
            continue;
        }
        let answer = answer.expect("readable");
        let want: Vec<_> = rows.iter().filter(|(key, _)| keys.contains(key)).collect();
        let cut = if limit > 0 { want.len().min(limit as usize) } else { want.len() };
        assert_eq!(answer.count, want.len() as i64, "count at {revision}");
        assert_eq!(answer.more, cut < want.len(), "more at {revision}");
        let found: Vec<(Vec<u8>, Row)> = answer
            .kvs
            .iter()
            .map(|kv| {
                (
                    kv.key.to_vec(),
                    Row {
                        create: kv.create_revision,
                        modified: kv.mod_revision,
                        version: kv.version,
                        value: kv.value.to_vec(),
                    },
                )
            })
            .collect();
        let want: Vec<(Vec<u8>, Row)> =
            want[..cut].iter().map(|(key, row)| ((*key).clone(), (*row).clone())).collect();
        assert_eq!(found, want, "rows at {revision}");
    }
}

fn open(backend: &Arc<dyn Backend>) -> (Applier, Mvcc) {
    let (applier, mvcc, _, _) = Applier::open(backend.clone(), ApplyOptions::default()).expect("opens");
    (applier, mvcc)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn reads_at_every_revision_match_the_model(
        steps in proptest::collection::vec(step(), 1..60),
        range in (1u8..13, 1u8..14), limit in 0i64..4, batch in 1usize..5,
    ) {
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
        let (mut applier, mut mvcc) = open(&backend);
        let mut model = Model { history: BTreeMap::from([(1, Rows::new())]), compacted: -1 };
        for (log_index, chunk) in (1..).zip(steps.chunks(batch)) {
            let mut commands = Vec::new();
            for step in chunk {
                let op = op(step, model.now().0);
                imitate(&mut model, step);
                commands.push(Command { op, ..Command::default() });
            }
            let position = AppliedPosition { log_index, log_id: Bytes::new(), membership: None };
            applier.apply(&[(position, CommandBatch { commands })]).expect("applies");
            if chunk.iter().any(|step| matches!(step, Step::Reopen)) {
                drop(applier);
                (applier, mvcc) = open(&backend);
            }
            compare(&mvcc, &model, range, limit);
        }
    }
}
