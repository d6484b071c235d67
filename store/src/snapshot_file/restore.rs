//! Makes the data directory of a member of a new cluster from a snapshot file, a stock one or ours.
//!
//! History, leases, alarms, users and roles are kept; membership is what the caller says. The raft log begins behind the
//! restored state (see [`stored::Seed`]). The directory is built under another name and renamed when it is whole, so that
//! a restore that was cut short leaves nothing that a member would start from.
//! Source: etcd v3.6 `etcdutl/snapshot/v3_snapshot.go`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use balsa_proto::store::MemberRecord;
use prost::Message;

use super::import::{self, Imported};
use super::{BoltFile, FileError, seal};
use crate::apply::applier;
use crate::backend::{Backend, BackendError, Column, RocksBackend, WriteBatch};
use crate::config::{self, ConfigError, Url};
use crate::consensus::MemberNode;
use crate::consensus::log_store;
use crate::consensus::stored::{self, SEED_PLACE, Seed};
use crate::membership::{self, id_file};
use crate::mvcc::codec::{self, Kind, Meta, Record};
use crate::mvcc::load;
use crate::revision::Revision;

/// What to restore, and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    pub snapshot: PathBuf,
    pub data_dir: PathBuf,
    pub name: String,
    pub initial_cluster: BTreeMap<String, Vec<Url>>,
    pub initial_cluster_token: String,
    pub initial_advertise_peer_urls: Vec<Url>,
    pub skip_hash_check: bool,
    /// Added to the revision, which is then marked as compacted: clients of the old cluster that come with a revision
    /// from after the snapshot are told to list again. 0: neither.
    pub bump_revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    pub revision: i64,
    pub changes: u64,
    pub member_id: u64,
    pub cluster_id: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Membership(#[from] ConfigError),
    #[error("{0}")]
    Seed(String),
    #[error("data-dir {0:?} not empty or could not be read")]
    NotEmpty(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the revision {revision} cannot be raised by {by}: revisions are 64-bit numbers")]
    TooHigh { revision: i64, by: u64 },
    #[error("the data directory {path} cannot be written")]
    DataDir { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Log(#[from] log_store::OpenError),
}

impl From<BackendError> for RestoreError {
    fn from(error: BackendError) -> Self {
        RestoreError::File(error.into())
    }
}

pub fn restore(options: &Options) -> Result<Restored, RestoreError> {
    config::check_named(&options.name, &options.initial_cluster, &options.initial_advertise_peer_urls)?;
    let file = open(options)?;
    let failed = |source| RestoreError::DataDir { path: options.data_dir.clone(), source };
    if !is_empty(&options.data_dir) {
        return Err(RestoreError::NotEmpty(options.data_dir.clone()));
    }
    let unfinished = options.data_dir.join("restoring");
    make_private(&options.data_dir).and_then(|()| make_private(&unfinished)).map_err(failed)?;
    let restored = build(options, &file, &unfinished)?;
    std::fs::rename(&unfinished, options.data_dir.join("member")).map_err(failed)?;
    sync_dir(&options.data_dir).map_err(failed)?;
    Ok(restored)
}

fn open(options: &Options) -> Result<BoltFile, FileError> {
    let mut file = File::open(&options.snapshot).map_err(FileError::Read)?;
    seal::check(&mut file, options.skip_hash_check)?;
    BoltFile::of(file)
}

fn build(options: &Options, file: &BoltFile, dir: &Path) -> Result<Restored, RestoreError> {
    let members = members(options);
    let member_id = id_of(options, &options.name);
    let cluster_id = membership::cluster_id(members.keys().copied());
    let seed = stored::seed(members.clone()).map_err(RestoreError::Seed)?;
    let backend = RocksBackend::open(&dir.join("state"), None)?;
    let Imported { mut revision, changes } = import::import(file, &backend)?;
    let mut last = WriteBatch::default();
    if options.bump_revision > 0 {
        revision = bump(revision, options.bump_revision)?;
        mark_compacted(&mut last, revision);
    }
    place(&mut last, revision, &seed);
    table(&mut last, &members);
    backend.write(&last)?;
    backend.sync()?;
    log_store::seed(&dir.join("wal"), (cluster_id, member_id), &seed)?;
    // So that a start need not repeat the flags, as etcd's documents leave them out then.
    id_file::write(dir, (cluster_id, member_id))
        .map_err(|source| RestoreError::DataDir { path: options.data_dir.clone(), source })?;
    Ok(Restored { revision, changes, member_id, cluster_id })
}

fn id_of(options: &Options, name: &str) -> u64 {
    membership::member_id(&texts(options.initial_cluster.get(name)), &options.initial_cluster_token)
}

fn texts(urls: Option<&Vec<Url>>) -> Vec<String> {
    urls.into_iter().flatten().map(ToString::to_string).collect()
}

fn members(options: &Options) -> BTreeMap<u64, MemberNode> {
    let node = |(name, urls): (&String, &Vec<Url>)| {
        (id_of(options, name), MemberNode { name: name.clone(), peer_urls: texts(Some(urls)) })
    };
    options.initial_cluster.iter().map(node).collect()
}

/// What the first entry of a log would have put into the state.
fn table(batch: &mut WriteBatch, members: &BTreeMap<u64, MemberNode>) {
    for (id, node) in members {
        let MemberNode { name, peer_urls } = node.clone();
        let record = MemberRecord { member_id: *id, name, peer_urls, ..Default::default() };
        batch.put(Column::Meta, load::member_key(*id), record.encode_to_vec());
    }
}

fn bump(revision: i64, by: u64) -> Result<i64, RestoreError> {
    revision.checked_add_unsigned(by).ok_or(RestoreError::TooHigh { revision, by })
}

/// The history gets a place holder at its new end, as stock's does: a record without a key, which no request can name.
fn mark_compacted(batch: &mut WriteBatch, revision: i64) {
    let at = Revision::new(revision, 0);
    let meta = Meta { kind: Kind::Put, create_revision: 0, version: 0, lease: 0 };
    batch.put(Column::Kv, codec::kv_key(b"", at), Record::encode(meta, b""));
    batch.put(Column::Log, codec::log_key(at), Record::encode(meta, b""));
    batch.put(Column::Meta, load::COMPACT_SCHEDULED, codec::i64_value(revision));
}

fn place(batch: &mut WriteBatch, revision: i64, seed: &Seed) {
    batch.put(Column::Meta, load::FORMAT_VERSION, codec::i64_value(load::FORMAT));
    batch.put(Column::Meta, load::REVISION, codec::i64_value(revision));
    // The state counts entries from 1.
    batch.put(Column::Meta, applier::APPLIED_INDEX, codec::i64_value(SEED_PLACE.index as i64 + 1));
    batch.put(Column::Meta, applier::APPLIED_LOG_ID, seed.log_id_record.clone());
    batch.put(Column::Meta, applier::MEMBERSHIP, seed.membership.clone());
}

/// Nothing there, or an empty folder.
fn is_empty(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
