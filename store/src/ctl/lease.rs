//! `lease grant | revoke | timetolive | list | keep-alive`.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use clap::Subcommand;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::connect::Connection;
use super::failure::{BAD_ARGS, BAD_CONNECTION, Failure};
use super::flags::Flags;
use super::put::lease_id;
use super::{Answer, connect, print, say};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Creates leases
    Grant {
        #[arg(value_name = "TTL", allow_negative_numbers = true)]
        words: Vec<String>,
    },
    /// Revokes leases
    Revoke {
        #[arg(value_name = "LEASE_ID")]
        words: Vec<String>,
    },
    /// Get lease information
    Timetolive {
        #[arg(value_name = "LEASE_ID")]
        words: Vec<String>,
        /// Get keys attached to this lease
        #[arg(long)]
        keys: bool,
    },
    /// List all active leases
    List,
    /// Keeps leases alive (renew)
    KeepAlive {
        #[arg(value_name = "LEASE_ID")]
        words: Vec<String>,
        /// Resets the keep-alive time to its original value and exits immediately
        #[arg(long)]
        once: bool,
    },
}

pub async fn run(flags: &Flags, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Grant { words } => grant(flags, &words).await,
        Verb::Revoke { words } => revoke(flags, revoked(&words)?).await,
        Verb::Timetolive { words, keys } => time_to_live(flags, lease_arg("timetolive", &words)?, keys).await,
        Verb::List => list(flags).await,
        Verb::KeepAlive { words, once } => keep_alive(flags, lease_arg("keep-alive", &words)?, once).await,
    }
}

fn lease_arg(verb: &str, words: &[String]) -> Result<i64, Failure> {
    match words {
        [word] => arg_id(word),
        _ => Err(Failure::new(BAD_ARGS, format!("lease {verb} command needs lease ID as argument"))),
    }
}

fn revoked(words: &[String]) -> Result<i64, Failure> {
    match words {
        [word] => arg_id(word),
        _ => Err(Failure::bad_args("lease revoke command needs 1 argument")),
    }
}

fn arg_id(word: &str) -> Result<i64, Failure> {
    lease_id(word)
        .map_err(|failure| failure.within(|text| text.replacen("bad lease ID", "bad lease ID arg", 1)))
}

async fn connected(flags: &Flags) -> Result<LeaseClient<Connection>, Failure> {
    Ok(LeaseClient::new(connect::any(flags).await?))
}

async fn grant(flags: &Flags, words: &[String]) -> Result<(), Failure> {
    let [word] = words else {
        return Err(Failure::bad_args("lease grant command needs TTL argument"));
    };
    let bad = |_| Failure::bad_args(format!("bad TTL (strconv.ParseInt: parsing {word:?}: invalid syntax)"));
    let ttl: i64 = word.parse().map_err(bad)?;
    let request = pb::LeaseGrantRequest { ttl, id: 0 };
    let failed = |failure: Failure| failure.within(|text| format!("failed to grant lease ({text})"));
    let response = connect::ask(flags, connected(flags).await?.lease_grant(request)).await.map_err(failed)?;
    print(flags, &Answer::LeaseGrant(response))
}

async fn revoke(flags: &Flags, id: i64) -> Result<(), Failure> {
    let request = pb::LeaseRevokeRequest { id };
    let failed = |failure: Failure| failure.within(|text| format!("failed to revoke lease ({text})"));
    let response =
        connect::ask(flags, connected(flags).await?.lease_revoke(request)).await.map_err(failed)?;
    print(flags, &Answer::LeaseRevoke { id, response })
}

async fn time_to_live(flags: &Flags, id: i64, keys: bool) -> Result<(), Failure> {
    let request = pb::LeaseTimeToLiveRequest { id, keys };
    let response = connect::ask(flags, connected(flags).await?.lease_time_to_live(request)).await?;
    print(flags, &Answer::LeaseTimeToLive { response, keys })
}

async fn list(flags: &Flags) -> Result<(), Failure> {
    let request = pb::LeaseLeasesRequest::default();
    let response = connect::ask(flags, connected(flags).await?.lease_leases(request)).await?;
    print(flags, &Answer::LeaseList(response))
}

/// Renews three times per time to live, until the lease is gone.
async fn keep_alive(flags: &Flags, id: i64, once: bool) -> Result<(), Failure> {
    let mut client = connected(flags).await?;
    let (requests, stream) = mpsc::channel(1);
    let request = pb::LeaseKeepAliveRequest { id };
    // The channel is empty and its reader is at hand.
    let _ = requests.send(request).await;
    let mut responses = connect::ask(flags, client.lease_keep_alive(ReceiverStream::new(stream))).await?;
    loop {
        let response = tokio::time::timeout(flags.command_timeout, responses.message()).await;
        let response = response.map_err(|_| Failure::deadline())??;
        match response {
            Some(response) if response.ttl > 0 => {
                let ttl = response.ttl;
                print(flags, &Answer::LeaseKeepAlive(response))?;
                if once {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_secs(ttl as u64) / 3).await;
                let _ = requests.send(request).await;
            }
            _ if once => return Err(Failure::new(BAD_CONNECTION, crate::error::Error::LeaseNotFound.text())),
            _ => return say(format!("lease {id:016x} expired or revoked.\n")),
        }
    }
}
