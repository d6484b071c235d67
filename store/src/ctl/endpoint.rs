//! `endpoint status | health | hashkv`: asked of every endpoint by itself.

use std::time::{Duration, Instant};

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::alarm_request::AlarmAction;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use clap::Subcommand;
use futures::future::join_all;

use super::connect::{self, Connection};
use super::display::{alarm_word, simple};
use super::failure::{BAD_CONNECTION, ERROR, Failure};
use super::flags::{Flags, Format};
use super::{Answer, duration, member, print, say};
use crate::error::Error;

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
    /// Prints the KV history hash for each endpoint in --endpoints
    Hashkv {
        /// Maximum revision to hash (default: latest revision)
        #[arg(long, default_value_t = 0)]
        rev: i64,
    },
}

/// What one endpoint says of itself.
#[derive(Debug)]
pub struct Status {
    pub endpoint: String,
    pub response: pb::StatusResponse,
}

#[derive(Debug)]
pub struct Health {
    pub endpoint: String,
    /// `None` if the endpoint could not be asked.
    pub took: Option<Duration>,
    /// `None` if it is healthy.
    pub error: Option<String>,
}

#[derive(Debug)]
pub struct HashKv {
    pub endpoint: String,
    pub response: pb::HashKvResponse,
}

impl Health {
    /// As Go prints a time; nothing if there is none.
    pub fn took_text(&self) -> String {
        self.took.map(duration::print).unwrap_or_default()
    }
}

pub async fn run(flags: &Flags, args: Args, verb: Verb) -> Result<(), Failure> {
    let endpoints = chosen(flags, args.cluster).await?;
    match verb {
        Verb::Status => status(flags, &endpoints).await,
        Verb::Health => health(flags, &endpoints).await,
        Verb::Hashkv { rev } => hash_kv(flags, &endpoints, rev).await,
    }
}

/// The endpoints of the flags, or of all members.
pub async fn chosen(flags: &Flags, cluster: bool) -> Result<Vec<String>, Failure> {
    if !cluster {
        return Ok(flags.endpoints.clone());
    }
    let listed = member::list(flags, true).await.map_err(|failure| {
        failure.within(|text| format!("failed to fetch endpoints from etcd cluster member list: {text}"))
    })?;
    Ok(listed.members.into_iter().flat_map(|member| member.client_ur_ls).collect())
}

pub async fn maintenance(flags: &Flags, endpoint: &str) -> Result<MaintenanceClient<Connection>, Failure> {
    Ok(MaintenanceClient::new(connect::one(flags, endpoint).await?))
}

async fn status(flags: &Flags, endpoints: &[String]) -> Result<(), Failure> {
    let mut statuses = Vec::new();
    let mut failed = false;
    for (endpoint, answer) in each(endpoints, |endpoint| status_of(flags, endpoint)).await {
        match answer {
            Ok(response) => statuses.push(Status { endpoint, response }),
            Err(failure) => {
                eprintln!("Failed to get the status of endpoint {endpoint} ({})", failure.text);
                failed = true;
            }
        }
    }
    print(flags, &Answer::EndpointStatus(statuses))?;
    if failed { Err(Failure::said()) } else { Ok(()) }
}

/// All endpoints at once; the answers come in the order of the endpoints.
pub async fn each<'a, T, F: Future<Output = T>>(
    endpoints: &'a [String],
    ask: impl Fn(&'a str) -> F,
) -> Vec<(String, T)> {
    let answers = join_all(endpoints.iter().map(|endpoint| ask(endpoint))).await;
    endpoints.iter().cloned().zip(answers).collect()
}

pub async fn status_of(flags: &Flags, endpoint: &str) -> Result<pb::StatusResponse, Failure> {
    connect::ask(flags, maintenance(flags, endpoint).await?.status(pb::StatusRequest {})).await
}

pub async fn hash_kv_of(flags: &Flags, endpoint: &str, revision: i64) -> Result<pb::HashKvResponse, Failure> {
    let request = pb::HashKvRequest { revision };
    connect::ask(flags, maintenance(flags, endpoint).await?.hash_kv(request)).await
}

async fn hash_kv(flags: &Flags, endpoints: &[String], revision: i64) -> Result<(), Failure> {
    let mut hashes = Vec::new();
    let mut failed = None;
    for (endpoint, answer) in each(endpoints, |endpoint| hash_kv_of(flags, endpoint, revision)).await {
        match answer {
            Ok(response) => hashes.push(HashKv { endpoint, response }),
            Err(failure) => {
                eprintln!("Failed to get the hash of endpoint {endpoint} ({})", failure.text);
                failed = Some(failure);
            }
        }
    }
    if !hashes.is_empty() || failed.is_none() {
        print(flags, &Answer::EndpointHashKv(hashes))?;
    }
    failed.map_or(Ok(()), Err)
}

async fn health(flags: &Flags, endpoints: &[String]) -> Result<(), Failure> {
    let timed = |endpoint| async move {
        let started = Instant::now();
        match health_of(flags, endpoint).await {
            Ok(()) => (Some(started.elapsed()), None),
            // A password was refused: there was no client to ask with.
            Err(failure) if failure.code == BAD_CONNECTION => (None, Some(failure.text)),
            Err(failure) => (Some(started.elapsed()), Some(failure.text)),
        }
    };
    let healths: Vec<Health> = each(endpoints, timed)
        .await
        .into_iter()
        .map(|(endpoint, (took, error))| Health { endpoint, took, error })
        .collect();
    let unhealthy = healths.iter().any(|health| health.error.is_some());
    if flags.format() == Format::Simple {
        // Good news to stdout, bad news to stderr: stock 3.6 does so in this one format.
        for health in &healths {
            let line = simple::health_line(health);
            if health.error.is_some() { eprint!("{line}") } else { say(&line)? }
        }
    } else {
        print(flags, &Answer::EndpointHealth(healths))?;
    }
    if unhealthy { Err(Failure::new(ERROR, "unhealthy cluster")) } else { Ok(()) }
}

/// A linearizable read that succeeds, or is refused for want of permission, needed a working cluster. An alarm is bad health
/// as well.
async fn health_of(flags: &Flags, endpoint: &str) -> Result<(), Failure> {
    let connection = connect::one(flags, endpoint).await?;
    let mut client = connect::kv(flags, connection.clone());
    let request = pb::RangeRequest { key: "health".into(), ..pb::RangeRequest::default() };
    match connect::ask(flags, client.range(request)).await {
        Err(failure) if failure.text == Error::PermissionDenied.text() => return Ok(()),
        answer => answer?,
    };
    let request = pb::AlarmRequest { action: AlarmAction::Get as i32, ..pb::AlarmRequest::default() };
    let raised = connect::ask(flags, MaintenanceClient::new(connection).alarm(request)).await;
    let raised = raised.map_err(|failure| failure.within(|_| "Unable to fetch the alarm list".into()))?;
    if raised.alarms.is_empty() {
        return Ok(());
    }
    let words: String = raised.alarms.iter().map(|alarm| format!("{} ", alarm_word(alarm))).collect();
    Err(Failure::error(format!("Active Alarm(s): {words}")))
}
