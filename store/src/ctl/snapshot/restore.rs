//! `snapshot restore`: a data directory for a member of a new cluster, from a snapshot of a stock etcd or of ours.

use std::path::PathBuf;

use super::file_failure;
use crate::config::{parse_initial_cluster, parse_urls};
use crate::ctl::failure::{BAD_ARGS, Failure};
use crate::ctl::say;
use crate::snapshot_file::restore::{self, Options, Restored};

#[derive(Debug, clap::Args)]
pub struct Args {
    filename: Vec<PathBuf>,
    /// Path to the output data directory
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Path to the WAL directory. Refused: the raft log of a Balsa store stays in its data directory
    #[arg(long)]
    wal_dir: Option<PathBuf>,
    /// Initial cluster configuration for restore bootstrap
    #[arg(long, default_value = "default=http://localhost:2380")]
    initial_cluster: String,
    /// Initial cluster token for the etcd cluster during restore bootstrap
    #[arg(long, default_value = "etcd-cluster")]
    initial_cluster_token: String,
    /// List of this member's peer URLs to advertise to the rest of the cluster
    #[arg(long, default_value = "http://localhost:2380")]
    initial_advertise_peer_urls: String,
    /// Human-readable name for this member
    #[arg(long, default_value = "default")]
    name: String,
    /// Ignore snapshot integrity hash value (required if copied from data directory)
    #[arg(long)]
    skip_hash_check: bool,
    /// How much to increase the latest revision after restore
    #[arg(long, default_value_t = 0)]
    bump_revision: u64,
    /// Mark the latest revision after restore as the point of scheduled compaction (required if --bump-revision > 0, disallowed otherwise)
    #[arg(long)]
    mark_compacted: bool,
    /// Initial memory map size of the database in bytes. Has no effect: a Balsa store does not map its database
    #[arg(long, hide = true)]
    initial_memory_map_size: Option<u64>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    if let Some(refused) = refusal(&args) {
        return Err(Failure::new(BAD_ARGS, refused));
    }
    let bad = |error: crate::config::ConfigError| Failure::new(BAD_ARGS, error.to_string());
    let options = Options {
        data_dir: args.data_dir.unwrap_or_else(|| PathBuf::from(format!("{}.etcd", args.name))),
        initial_cluster: parse_initial_cluster(&args.initial_cluster).map_err(bad)?,
        initial_cluster_token: args.initial_cluster_token,
        initial_advertise_peer_urls: parse_urls(
            "initial-advertise-peer-urls",
            &args.initial_advertise_peer_urls,
        )
        .map_err(bad)?,
        name: args.name,
        skip_hash_check: args.skip_hash_check,
        bump_revision: args.bump_revision,
        snapshot: args.filename.into_iter().next().expect("checked to be one"),
    };
    let Restored { revision, changes, member_id, cluster_id } =
        restore::restore(&options).map_err(|error| file_failure(&error))?;
    say(format!(
        "restored {changes} changes up to revision {revision} into {} as member {member_id:x} of cluster {cluster_id:x}\n",
        options.data_dir.display()
    ))
}

fn refusal(args: &Args) -> Option<&'static str> {
    if args.filename.len() != 1 {
        return Some("snapshot restore requires exactly one argument");
    }
    if (args.bump_revision > 0) != args.mark_compacted {
        return Some("--mark-compacted required if --revision-bump > 0");
    }
    if args.wal_dir.is_some() {
        return Some("--wal-dir is not supported: the raft log of a Balsa store stays in its data directory");
    }
    if args.initial_memory_map_size.is_some() {
        return Some("--initial-memory-map-size is not supported: a Balsa store does not map its database");
    }
    None
}
