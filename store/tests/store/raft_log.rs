//! The log against a model, and after everything that a crash or a bad disk can do to its files.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use tempfile::TempDir;

use balsa_store::consensus::codec;
use balsa_store::consensus::types::{EncodedBatch, Entry, LeaderId, LogId, Payload, Vote};
use balsa_store::consensus::wal::record::{Meta, Records};
use balsa_store::consensus::wal::{HostDisk, OpenError, Opened, Wal, open};
use balsa_store::metrics::LogMetrics;

const IDENTITY: (u64, u64) = (7, 1);

fn log_id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }
}

fn entry(index: u64, bytes: usize) -> Entry {
    let payload = Bytes::from(vec![b'a' + (index % 26) as u8; bytes]);
    Entry { log_id: log_id(index), payload: Payload::Normal(EncodedBatch { bytes: payload }) }
}

fn reopen(dir: &Path) -> Result<Opened, OpenError> {
    open(std::sync::Arc::new(HostDisk), dir, IDENTITY, LogMetrics::default())
}

fn append(wal: &mut Wal, indexes: std::ops::Range<u64>, bytes: usize) {
    for index in indexes {
        let mut records = Records::default();
        records.entry(&entry(index, bytes));
        wal.write(records).expect("writes");
    }
}

/// What the log holds, read back: `first..=last`.
fn contents(opened: &Opened) -> Vec<Entry> {
    let located = opened.index.read().locate(0..u64::MAX, usize::MAX);
    located.iter().map(|at| codec::decode_entry(&at.read().expect("reads")).expect("decodes")).collect()
}

fn indexes(opened: &Opened) -> Vec<u64> {
    contents(opened).iter().map(|entry| entry.log_id.index).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(dir).expect("lists").map(|entry| entry.expect("lists").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
    paths.sort();
    paths
}

/// A log of ten entries of 1,000 bytes, its file, and where the last frame begins.
fn ten_entries() -> (TempDir, PathBuf, usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut opened = reopen(dir.path()).expect("opens");
    append(&mut opened.wal, 0..9, 1000);
    let bytes = |dir: &Path| {
        let all = fs::read(&segments(dir)[0]).expect("reads");
        all.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    };
    let last_frame = bytes(dir.path());
    append(&mut opened.wal, 9..10, 1000);
    let path = segments(dir.path()).remove(0);
    (dir, path, last_frame)
}

/// Damages the file, opens the log, and says what came of it without the path.
fn after(damage: impl Fn(&mut Vec<u8>, usize), want: Expect) {
    let (dir, path, last_frame) = ten_entries();
    let mut bytes = fs::read(&path).expect("reads");
    damage(&mut bytes, last_frame);
    fs::write(&path, bytes).expect("writes");
    let outcome = match reopen(dir.path()) {
        Ok(opened) => format!("entries {:?}", indexes(&opened)),
        Err(OpenError::Damaged { offset, .. }) => {
            format!("damaged {}", if offset == last_frame { "at the last frame" } else { "before" })
        }
        Err(error) => error.to_string(),
    };
    want.assert_eq(&outcome);
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut opened = reopen(dir.path()).expect("opens");
    let vote = Vote { leader_id: LeaderId { term: 3, node_id: 2 }, committed: true };
    let mut records = Records::default();
    records.vote(&vote);
    records.entry(&entry(0, 10));
    records.entry(&entry(1, 20));
    records.committed(&log_id(0));
    opened.wal.write(records).expect("writes");
    drop(opened);
    let opened = reopen(dir.path()).expect("opens");
    assert_eq!(contents(&opened), [entry(0, 10), entry(1, 20)]);
    assert_eq!(opened.meta, Meta { vote: Some(vote), purged: None, committed: Some(log_id(0)) });
}

#[test]
fn a_torn_last_frame_is_cut_off() {
    // The header arrived and the rest did not; the end arrived and the beginning did not.
    after(|bytes, last| bytes[last + 600..].fill(0), expect!["entries [0, 1, 2, 3, 4, 5, 6, 7, 8]"]);
    after(|bytes, last| bytes[last..last + 700].fill(0), expect!["entries [0, 1, 2, 3, 4, 5, 6, 7, 8]"]);
}

#[test]
fn a_flipped_bit_is_an_error_wherever_it_is() {
    after(|bytes, _| bytes[2500] ^= 1, expect!["damaged before"]);
    after(|bytes, last| bytes[last + 500] ^= 1, expect!["damaged at the last frame"]);
    after(|bytes, last| bytes[last] ^= 1, expect!["damaged at the last frame"]);
    // In the length: not a frame whose end is missing.
    after(|bytes, last| bytes[last + 26] ^= 1, expect!["damaged at the last frame"]);
    after(|bytes, _| bytes[30] ^= 1, expect!["damaged before"]);
    // A whole sector gone from the middle is no tear: frames that came later are whole.
    after(|bytes, _| bytes[2560..3072].fill(0), expect!["damaged before"]);
}

#[test]
fn a_log_goes_on_behind_a_cut() {
    let (dir, path, last_frame) = ten_entries();
    let mut bytes = fs::read(&path).expect("reads");
    bytes[last_frame + 20..last_frame + 1060].fill(0);
    fs::write(&path, bytes).expect("writes");
    let mut opened = reopen(dir.path()).expect("opens");
    append(&mut opened.wal, 9..12, 300);
    drop(opened);
    assert_eq!(indexes(&reopen(dir.path()).expect("opens")), (0..12).collect::<Vec<_>>());
}

#[test]
fn segments_follow_one_another_and_go_when_purged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut opened = reopen(dir.path()).expect("opens");
    append(&mut opened.wal, 0..50, 1 << 20);
    assert_eq!(segments(dir.path()).len(), 4);
    drop(opened);
    let mut opened = reopen(dir.path()).expect("opens");
    assert_eq!(indexes(&opened), (0..50).collect::<Vec<_>>());
    let mut records = Records::default();
    records.purge(&log_id(40));
    opened.wal.write(records).expect("writes");
    assert_eq!(segments(dir.path()).len(), 2);
    drop(opened);
    let opened = reopen(dir.path()).expect("opens");
    assert_eq!((indexes(&opened), opened.meta.purged), ((41..50).collect(), Some(log_id(40))));
}

#[test]
fn a_missing_file_is_an_error() {
    for missing in 0..4 {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut opened = reopen(dir.path()).expect("opens");
        append(&mut opened.wal, 0..50, 1 << 20);
        drop(opened);
        fs::remove_file(&segments(dir.path())[missing]).expect("removes");
        let error = reopen(dir.path()).expect_err("is not whole");
        assert!(
            matches!(error, OpenError::MissingSegment { .. } | OpenError::Hole { .. }),
            "{missing}: {error}"
        );
    }
}

#[test]
fn a_frame_larger_than_a_segment_gets_one_of_its_own() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut opened = reopen(dir.path()).expect("opens");
    append(&mut opened.wal, 0..1, 10);
    append(&mut opened.wal, 1..2, 20 << 20);
    append(&mut opened.wal, 2..3, 10);
    drop(opened);
    assert_eq!(
        contents(&reopen(dir.path()).expect("opens")),
        [entry(0, 10), entry(1, 20 << 20), entry(2, 10)]
    );
}

#[test]
fn another_member_or_process_does_not_get_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let opened = reopen(dir.path()).expect("opens");
    assert!(matches!(reopen(dir.path()), Err(OpenError::InUse { .. })));
    drop(opened);
    let foreign = open(std::sync::Arc::new(HostDisk), dir.path(), (7, 2), LogMetrics::default());
    assert!(matches!(foreign, Err(OpenError::ForeignIdentity { found: IDENTITY, want: (7, 2) })));
}

#[derive(Debug, Clone)]
enum Op {
    Append { count: u64, bytes: usize },
    Truncate { back: u64 },
    Purge { share: u8 },
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (1u64..4, 0usize..3_000_000).prop_map(|(count, bytes)| Op::Append { count, bytes }),
        1 => (0u64..4).prop_map(|back| Op::Truncate { back }),
        1 => any::<u8>().prop_map(|share| Op::Purge { share }),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn holds_what_the_model_holds(ops in ops()) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut opened = reopen(dir.path()).expect("opens");
        let (mut model, mut next, mut purged): (Vec<Entry>, u64, Option<u64>) = (Vec::new(), 0, None);
        for op in ops {
            let mut records = Records::default();
            match op {
                Op::Append { count, bytes } => {
                    for _ in 0..count {
                        records.entry(&entry(next, bytes));
                        model.push(entry(next, bytes));
                        next += 1;
                    }
                }
                Op::Truncate { back } => {
                    next = next.saturating_sub(back).max(purged.map_or(0, |purged| purged + 1));
                    records.truncate_from(next);
                    model.retain(|entry| entry.log_id.index < next);
                }
                Op::Purge { share } => {
                    let Some(first) = model.first().map(|entry| entry.log_id.index) else { continue };
                    let upto = first + (next - 1 - first) * u64::from(share) / 255;
                    purged = Some(upto);
                    records.purge(&log_id(upto));
                    model.retain(|entry| entry.log_id.index > upto);
                }
                Op::Reopen => {
                    drop(opened);
                    opened = reopen(dir.path()).expect("opens");
                    prop_assert_eq!(opened.meta.purged.map(|log_id| log_id.index), purged);
                    prop_assert_eq!(contents(&opened), model.clone());
                    continue;
                }
            }
            opened.wal.write(records).expect("writes");
        }
        prop_assert_eq!(contents(&opened), model);
    }
}
