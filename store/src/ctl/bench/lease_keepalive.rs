//! `bench lease-keepalive`: renewals of one lease per client.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use tokio_stream::once;

use super::Bench;
use crate::ctl::failure::Failure;
use crate::ctl::load;
use crate::ctl::progress::Progress;

const TTL_SECONDS: i64 = 100;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Maximum requests per second (0 is no limit)
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Total number of keepalive requests
    #[arg(long, default_value_t = 10_000)]
    total: u64,
}

pub async fn run(bench: &Bench<'_>, args: Args) -> Result<(), Failure> {
    let mut client = LeaseClient::new(bench.connections[0].clone());
    let granted = client.lease_grant(pb::LeaseGrantRequest { ttl: TTL_SECONDS, id: 0 }).await?.into_inner();
    let id = granted.id;
    let plan = bench.plan(args.total, args.rate);
    let progress = Progress::new("keepalive", args.total);
    let report = load::run(plan, &bench.connections, progress, move |connection, _| {
        let mut client = LeaseClient::new(connection);
        async move {
            let mut answers =
                client.lease_keep_alive(once(pb::LeaseKeepAliveRequest { id })).await?.into_inner();
            match answers.message().await? {
                Some(answer) if answer.ttl > 0 => Ok(()),
                _ => Err(tonic::Status::not_found("the lease is gone")),
            }
        }
    })
    .await;
    client.lease_revoke(pb::LeaseRevokeRequest { id }).await?;
    bench.tell(&report)
}
