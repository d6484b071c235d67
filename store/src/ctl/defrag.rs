//! `defrag`: gives the space of what was deleted back to the file system, member by member.

use std::path::PathBuf;
use std::time::Instant;

use balsa_proto::etcd::etcdserverpb::DefragmentRequest;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;

use super::failure::Failure;
use super::flags::Flags;
use super::{connect, duration, endpoint, offline, say};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Use all endpoints from the cluster member list
    #[arg(long)]
    cluster: bool,
    /// Optional. If present, defragments a data directory not in use by a server
    #[arg(long, conflicts_with = "cluster")]
    data_dir: Option<PathBuf>,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    if let Some(data_dir) = &args.data_dir {
        return offline::defragment(data_dir);
    }
    let endpoints = endpoint::chosen(flags, args.cluster).await?;
    let mut failed = false;
    for endpoint in &endpoints {
        let started = Instant::now();
        let done = defragment(flags, endpoint).await;
        let took = duration::print(started.elapsed());
        match done {
            Ok(()) => say(format!("Finished defragmenting etcd member[{endpoint}]. took {took}\n"))?,
            Err(failure) => {
                eprintln!("Failed to defragment etcd member[{endpoint}]. took {took}. ({})", failure.text);
                failed = true;
            }
        }
    }
    if failed { Err(Failure::said()) } else { Ok(()) }
}

async fn defragment(flags: &Flags, endpoint: &str) -> Result<(), Failure> {
    let mut client = MaintenanceClient::new(connect::one(flags, endpoint).await?);
    connect::ask(flags, client.defragment(DefragmentRequest {})).await.map(drop)
}
