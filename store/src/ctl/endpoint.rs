//! `endpoint status` and `endpoint health`: asked of every endpoint by itself.

use std::time::{Duration, Instant};

use balsa_proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{MemberListRequest, RangeRequest, StatusRequest, StatusResponse};
use clap::Subcommand;

use super::failure::{ERROR, Failure};
use super::flags::{Flags, Format};
use super::{Answer, Display, connect, say};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Use all endpoints from the cluster member list
    #[arg(long, global = true)]
    cluster: bool,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Prints out the status of endpoints specified in `--endpoints` flag
    Status,
    /// Checks the healthiness of endpoints specified in `--endpoints` flag
    Health,
}

/// What one endpoint says of itself.
#[derive(Debug)]
pub struct Status {
    pub endpoint: String,
    pub response: StatusResponse,
}

#[derive(Debug)]
pub struct Health {
    pub endpoint: String,
    pub took: Duration,
    /// `None` if it is healthy.
    pub error: Option<String>,
}

pub async fn run(flags: &Flags, args: Args, verb: Verb) -> Result<(), Failure> {
    let endpoints = if args.cluster { cluster_endpoints(flags).await? } else { flags.endpoints.clone() };
    match verb {
        Verb::Status => status(flags, &endpoints).await,
        Verb::Health => health(flags, &endpoints).await,
    }
}

async fn cluster_endpoints(flags: &Flags) -> Result<Vec<String>, Failure> {
    let mut client = ClusterClient::new(connect::any(flags).await?);
    let request = MemberListRequest { linearizable: true };
    let members = connect::ask(flags, client.member_list(request)).await?.members;
    Ok(members.into_iter().flat_map(|member| member.client_ur_ls).collect())
}

async fn status(flags: &Flags, endpoints: &[String]) -> Result<(), Failure> {
    let mut statuses = Vec::new();
    let mut failed = false;
    for endpoint in endpoints {
        match status_of(flags, endpoint).await {
            Ok(response) => statuses.push(Status { endpoint: endpoint.clone(), response }),
            Err(failure) => {
                eprintln!("Failed to get the status of endpoint {endpoint} ({})", failure.text);
                failed = true;
            }
        }
    }
    say(&Display::new(flags).show(&Answer::EndpointStatus(statuses))?)?;
    if failed { Err(Failure::new(ERROR, "unhealthy cluster")) } else { Ok(()) }
}

async fn status_of(flags: &Flags, endpoint: &str) -> Result<StatusResponse, Failure> {
    let mut client = MaintenanceClient::new(connect::one(flags, endpoint).await?);
    connect::ask(flags, client.status(StatusRequest::default())).await
}

async fn health(flags: &Flags, endpoints: &[String]) -> Result<(), Failure> {
    let mut healths = Vec::new();
    for endpoint in endpoints {
        let started = Instant::now();
        let error = health_of(flags, endpoint).await.err().map(|failure| failure.text);
        healths.push(Health { endpoint: endpoint.clone(), took: started.elapsed(), error });
    }
    let unhealthy = healths.iter().any(|health| health.error.is_some());
    let text = Display::new(flags).show(&Answer::EndpointHealth(healths))?;
    // Stock etcdctl of 3.4 and later says it on stderr in this one format.
    if flags.write_out == Format::Simple {
        eprint!("{text}")
    } else {
        say(&text)?
    }
    if unhealthy { Err(Failure::new(ERROR, "unhealthy cluster")) } else { Ok(()) }
}

/// A linearizable read that succeeds, or is refused for want of permission, needed a working cluster.
async fn health_of(flags: &Flags, endpoint: &str) -> Result<(), Failure> {
    let mut client = KvClient::new(connect::one(flags, endpoint).await?);
    let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
    match connect::ask(flags, client.range(request)).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.text == crate::error::Error::PermissionDenied.text() => Ok(()),
        Err(failure) => Err(failure),
    }
}
