//! `check perf`: a minute of puts at the rate that a cluster of its size should bear.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::PutRequest;

use super::{After, clean, refuse_used_prefix, tell_errors, unknown_load};
use crate::ctl::failure::Failure;
use crate::ctl::flags::Flags;
use crate::ctl::load::{self, Plan};
use crate::ctl::progress::Progress;
use crate::ctl::report::Stats;
use crate::ctl::{connect, say};

const DURATION: Duration = Duration::from_secs(60);
const KEY_BYTES: usize = 256;
const VALUE_BYTES: usize = 1024;
/// Of the rate asked for, what must be reached.
const REACHED: f64 = 0.9;
const SLOWEST_SECONDS: f64 = 0.5;
const STDDEV_SECONDS: f64 = 0.1;
const CONNECTIONS: usize = 8;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workload: s(small), m(medium), l(large), xl(xLarge); they differ in clients and expected throughput
    #[arg(long, default_value = "s")]
    load: String,
    /// The prefix for writing the performance check's keys
    #[arg(long, default_value = "/etcdctl-check-perf/")]
    prefix: String,
    #[command(flatten)]
    after: After,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let (clients, rate) = match args.load.as_str() {
        "s" | "small" => (50, 150),
        "m" | "medium" => (200, 1_000),
        "l" | "large" => (500, 8_000),
        "xl" | "xLarge" => (1_000, 15_000),
        other => return Err(unknown_load(other)),
    };
    refuse_used_prefix(flags, &args.prefix).await?;
    let total = rate * DURATION.as_secs();
    let plan = Plan { clients, total, time: Some(DURATION), rate: Some(rate) };
    let connections = load::connections(flags, CONNECTIONS).await?;
    let (prefix, owned) = (args.prefix.clone(), flags.clone());
    let report = load::run(plan, &connections, Progress::new("put", total), move |connection, _| {
        let mut kv = connect::kv(&owned, connection);
        let key = random_key(&prefix);
        let request = PutRequest { key, value: vec![b'v'; VALUE_BYTES].into(), ..PutRequest::default() };
        async move { kv.put(request).await.map(drop) }
    })
    .await;
    clean(flags, &args.prefix, args.after).await?;

    let mut failed = tell_errors(&report);
    for (passed, text) in judge(&report.stats(), rate) {
        failed |= !passed;
        println!("{text}");
    }
    say(if failed { "FAIL\n" } else { "PASS\n" })?;
    if failed { Err(Failure::said()) } else { Ok(()) }
}

/// Whether each figure is good enough at a load of `rate` writes a second, and how etcdctl says it.
fn judge(stats: &Stats, rate: u64) -> [(bool, String); 3] {
    let writes = stats.per_second as u64 + 1;
    let choose = |passed: bool, good: String, bad: String| (passed, if passed { good } else { bad });
    [
        choose(
            stats.per_second / rate as f64 > REACHED,
            format!("PASS: Throughput is {writes} writes/s"),
            format!("FAIL: Throughput too low: {writes} writes/s"),
        ),
        choose(
            stats.slowest <= SLOWEST_SECONDS,
            format!("PASS: Slowest request took {:.6}s", stats.slowest),
            format!("Slowest request took too long: {:.6}s", stats.slowest),
        ),
        choose(
            stats.stddev <= STDDEV_SECONDS,
            format!("PASS: Stddev is {:.6}s", stats.stddev),
            format!("Stddev too high: {:.6}s", stats.stddev),
        ),
    ]
}

fn random_key(prefix: &str) -> bytes::Bytes {
    let mut key = prefix.as_bytes().to_vec();
    key.extend((0..KEY_BYTES).map(|_| rand::random::<u8>()));
    key.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(slowest: f64, stddev: f64, per_second: f64) -> Vec<String> {
        let stats = Stats { slowest, stddev, per_second, fastest: 0.0, average: 0.0 };
        judge(&stats, 150).map(|(passed, text)| format!("{passed} {text}")).to_vec()
    }

    #[test]
    fn figures_are_judged_in_etcdctls_words() {
        let good = [
            "true PASS: Throughput is 150 writes/s",
            "true PASS: Slowest request took 0.050000s",
            "true PASS: Stddev is 0.010000s",
        ];
        assert_eq!(said(0.05, 0.01, 149.9), good);
        let bad = [
            "false FAIL: Throughput too low: 101 writes/s",
            "false Slowest request took too long: 0.600000s",
            "false Stddev too high: 0.200000s",
        ];
        assert_eq!(said(0.6, 0.2, 100.0), bad);
    }
}
