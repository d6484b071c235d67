//! `bench`: loads, with the names, flags and report of etcd's own benchmark tool, on any etcd.
//!
//! A bench writes into the store that it measures and leaves its keys there, as the stock tool does.

pub mod lease_keepalive;
pub mod put;
pub mod range;
pub mod stm;
pub mod txn;
pub mod watch;
pub mod watch_get;
pub mod watch_latency;
pub mod watchers;

use std::time::{SystemTime, UNIX_EPOCH};

use balsa_proto::etcd::etcdserverpb::PutRequest;
use bytes::Bytes;
use clap::Subcommand;

use super::connect::Connection;
use super::failure::Failure;
use super::flags::Flags;
use super::load;
use super::report::Report;
use super::{endpoint, say};

/// What all benches take.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// Total number of gRPC connections
    #[arg(long, global = true, default_value_t = 1)]
    conns: usize,
    /// Total number of gRPC clients
    #[arg(long, global = true, default_value_t = 1)]
    clients: usize,
    /// Use full floating point precision
    #[arg(long, global = true)]
    precise: bool,
    /// 'true' to sample requests for every second
    #[arg(long, global = true)]
    sample: bool,
    /// Connect only to the leader node
    #[arg(long, global = true)]
    target_leader: bool,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Benchmark put
    Put(put::Args),
    /// Benchmark txn-put: transactions of puts
    TxnPut(txn::PutArgs),
    /// Benchmark a mixed load of txn-put & txn-range
    TxnMixed(txn::MixedArgs),
    /// Benchmark range
    Range(range::Args),
    /// Benchmark watch: first the creation of many watchers, then the events to them
    Watch(watch::Args),
    /// Benchmark watch latency: from the start of a put to the arrival of its event at every watcher
    WatchLatency(watch_latency::Args),
    /// Benchmark watch with get: many watchers that are behind catch up
    WatchGet(watch_get::Args),
    /// Benchmark lease keepalive
    LeaseKeepalive(lease_keepalive::Args),
    /// Benchmark software transactional memory: read, compute, write back if nothing changed
    Stm(stm::Args),
}

pub async fn run(flags: &Flags, common: Common, verb: Verb) -> Result<(), Failure> {
    let leader;
    let flags = if common.target_leader {
        leader = Flags { endpoints: vec![leader_endpoint(flags).await?], ..flags.clone() };
        &leader
    } else {
        flags
    };
    let bench = Bench { connections: load::connections(flags, common.conns).await?, flags, common };
    match verb {
        Verb::Put(args) => put::run(&bench, args).await,
        Verb::TxnPut(args) => txn::run_put(&bench, args).await,
        Verb::TxnMixed(args) => txn::run_mixed(&bench, args).await,
        Verb::Range(args) => range::run(&bench, args).await,
        Verb::Watch(args) => watch::run(&bench, args).await,
        Verb::WatchLatency(args) => watch_latency::run(&bench, args).await,
        Verb::WatchGet(args) => watch_get::run(&bench, args).await,
        Verb::LeaseKeepalive(args) => lease_keepalive::run(&bench, args).await,
        Verb::Stm(args) => stm::run(&bench, args).await,
    }
}

/// What a bench works with.
pub struct Bench<'a> {
    flags: &'a Flags,
    common: Common,
    connections: Vec<Connection>,
}

impl Bench<'_> {
    /// The plan of a load; a rate of 0 is as fast as it goes.
    fn plan(&self, total: u64, rate: u64) -> load::Plan {
        load::Plan { clients: self.common.clients, total, time: None, rate: (rate > 0).then_some(rate) }
    }

    /// Prints the report. Requests that failed make the bench fail: its figures are not what was asked for.
    fn tell(&self, report: &Report) -> Result<(), Failure> {
        say(report.text(self.common.precise))?;
        if self.common.sample {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            say(report.series(now.saturating_sub(report.total).as_secs()))?;
        }
        if report.errors.is_empty() { Ok(()) } else { Err(Failure::said()) }
    }
}

async fn leader_endpoint(flags: &Flags) -> Result<String, Failure> {
    for endpoint in &flags.endpoints {
        let status = endpoint::status_of(flags, endpoint).await?;
        if status.header.is_some_and(|header| header.member_id == status.leader) {
            return Ok(endpoint.clone());
        }
    }
    Err(Failure::bad_args(format!("no leader endpoint given at {:?}", flags.endpoints)))
}

/// Which keys a load writes.
#[derive(Debug, Clone, Copy)]
struct Keys {
    bytes: usize,
    space: u64,
    sequential: bool,
}

impl Keys {
    /// The key of a request: a number, padded to the size.
    fn key(self, request: u64) -> Bytes {
        let space = self.space.max(1);
        let number = if self.sequential { request % space } else { rand::random_range(0..space) };
        numbered(number, self.bytes)
    }

    fn put(self, request: u64, value_bytes: usize) -> PutRequest {
        PutRequest { key: self.key(request), value: vec![b'v'; value_bytes].into(), ..PutRequest::default() }
    }
}

/// Big-endian in the last bytes, as many as fit: every key of a space is as long as every other.
fn numbered(number: u64, bytes: usize) -> Bytes {
    let mut key = vec![0u8; bytes.max(1)];
    for (at, byte) in key.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
        *at = *byte;
    }
    key.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbers_of_the_size_asked_for() {
        let keys = Keys { bytes: 4, space: 300, sequential: true };
        assert_eq!(&keys.key(258)[..], [0, 0, 1, 2]);
        assert_eq!(keys.key(1), keys.key(301));
        assert_eq!(&numbered(0x0102, 1)[..], [2]);
    }
}
