//! Data directories that something has happened to: each case ends in one clear sentence, or in all of the data, and never
//! in a silent loss. The damage is done to the files of a stopped member.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::harness::Cluster;
use balsa_store::Config;
use balsa_store::backend::{Backend, Column, RocksBackend, WriteBatch};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A member that was killed after a hundred writes. With `purged`, the beginning of its log is gone already.
fn stopped_member(purged: bool) -> Cluster {
    let mut cluster = Cluster::start(1, |config| {
        if purged {
            config.snapshot_count = 10;
        }
    });
    cluster.block_on(async |cluster| {
        for number in 0..100 {
            cluster.put(0, &format!("k{number:03}"), &value(number)).await.unwrap();
        }
    });
    cluster.kill(0);
    cluster
}

/// Does not compress, so that values take up most of the tables.
fn value(number: usize) -> String {
    let digest = |part: u8| format!("{:x}", Sha256::digest([number as u8, part]));
    [0, 1, 2].map(digest).concat()
}

/// What the member says when it does not start, causes included.
fn start_error(config: Config) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (ready, _) = oneshot::channel();
    let error = runtime.block_on(balsa_store::run(config, ready, CancellationToken::new())).unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn refuses(cluster: &Cluster, damage: impl FnOnce(&Path), sentence: &str) {
    let config = cluster.config(0);
    damage(&config.data_dir.join("member"));
    let error = start_error(config);
    assert!(error.contains(sentence), "{error}");
}

fn keeps_everything(mut cluster: Cluster, damage: impl FnOnce(&Path)) {
    damage(&cluster.config(0).data_dir.join("member"));
    cluster.restart(0);
    cluster.block_on(async |cluster| {
        for number in 0..100 {
            let found = cluster.get(0, &format!("k{number:03}"), false).await.unwrap();
            assert_eq!(found, Some(value(number)), "k{number:03}");
        }
    });
}

/// The largest file below `dir` with this extension.
fn largest(dir: &Path, extension: &str) -> PathBuf {
    let mut found: Option<(u64, PathBuf)> = None;
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|is| is == extension) {
                let bytes = path.metadata().unwrap().len();
                found = found.filter(|(most, _)| *most >= bytes).or(Some((bytes, path)));
            }
        }
    }
    found.unwrap_or_else(|| panic!("no *.{extension} below {}", dir.display())).1
}

fn flip_a_bit(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn middle(path: &Path) -> u64 {
    path.metadata().unwrap().len() / 2
}

#[test]
fn a_state_that_is_gone_is_made_again_from_the_whole_log() {
    keeps_everything(stopped_member(false), |member| fs::remove_dir_all(member.join("state")).unwrap());
}

#[test]
fn a_state_that_is_gone_is_missed_when_the_log_was_cut() {
    let damage = |member: &Path| fs::remove_dir_all(member.join("state")).unwrap();
    refuses(&stopped_member(true), damage, "a part of the state is missing");
}

#[test]
fn a_log_that_is_gone_is_missed() {
    let damage = |member: &Path| fs::remove_dir_all(member.join("wal")).unwrap();
    refuses(&stopped_member(false), damage, "holds a state but no raft log");
}

#[test]
fn a_log_whose_files_are_gone_is_missed() {
    let damage = |member: &Path| fs::remove_file(largest(&member.join("wal"), "wal")).unwrap();
    refuses(&stopped_member(false), damage, "the raft log is missing although the state holds entries");
}

#[test]
fn a_member_that_has_lost_everything_is_not_a_new_one() {
    let lose = |dir: &Path| {
        fs::remove_dir_all(dir.join("wal")).unwrap();
        fs::remove_dir_all(dir.join("state")).unwrap();
    };
    refuses(&stopped_member(false), lose, "its raft log and state are gone");
}

#[test]
fn a_missing_file_of_the_state_is_missed() {
    let damage = |member: &Path| fs::remove_file(member.join("state/00000001/CURRENT")).unwrap();
    refuses(&stopped_member(false), damage, "open the state in");
}

#[test]
fn a_flipped_bit_in_the_log_is_found() {
    // Torn and damaged logs in all their forms: raft_log.rs.
    let damage = |member: &Path| flip_a_bit(&largest(&member.join("wal"), "wal"), 2500);
    refuses(&stopped_member(false), damage, "the raft log is damaged");
}

#[test]
fn a_flipped_bit_in_the_list_of_the_states_files_is_found() {
    let damage = |member: &Path| {
        let files = fs::read_dir(member.join("state/00000001")).unwrap().map(|entry| entry.unwrap().path());
        let is_list = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("MANIFEST");
        let list = files.into_iter().find(is_list).unwrap();
        flip_a_bit(&list, middle(&list));
    };
    refuses(&stopped_member(false), damage, "open the state in");
}

/// Values are read when somebody asks for them: the member starts, and says that they are damaged.
#[test]
fn a_flipped_bit_in_a_value_is_an_error_and_not_an_answer() {
    let mut cluster = stopped_member(false);
    let state = cluster.config(0).data_dir.join("member/state");
    open_state(&state).defragment().unwrap();
    let values = largest(&state, "sst");
    flip_a_bit(&values, middle(&values));
    cluster.restart(0);
    cluster.block_on(async |cluster| {
        let mut damaged = 0;
        for number in 0..100 {
            match cluster.get(0, &format!("k{number:03}"), false).await {
                Ok(found) => assert_eq!(found, Some(value(number))),
                Err(status) => {
                    assert_eq!(status.message(), "etcdserver: corrupt cluster");
                    damaged += 1;
                }
            }
        }
        assert!(damaged > 0, "the flipped bit stands in a value");
    });
}

#[test]
fn a_state_of_a_newer_version_is_left_alone() {
    let damage = |member: &Path| {
        let state = open_state(&member.join("state"));
        let mut batch = WriteBatch::default();
        batch.put(Column::Meta, &b"format_version"[..], 2i64.to_be_bytes().to_vec());
        state.write(&batch).unwrap();
    };
    refuses(&stopped_member(false), damage, "it was written by a newer Balsa");
}

fn open_state(dir: &Path) -> RocksBackend {
    RocksBackend::open(dir, None).unwrap()
}
