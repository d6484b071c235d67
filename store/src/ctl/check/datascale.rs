//! `check datascale`: how much memory of a server a workload's keys take. Needs the server's `/metrics`.

use balsa_proto::etcd::etcdserverpb::PutRequest;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::{After, clean, refuse_used_prefix, tell_errors, unknown_load};
use crate::ctl::connect;
use crate::ctl::failure::Failure;
use crate::ctl::flags::Flags;
use crate::ctl::load::{self, Plan};
use crate::ctl::progress::Progress;

const VALUE_BYTES: usize = 1024;
const METRIC: &str = "process_resident_memory_bytes ";
const CONNECTIONS: usize = 8;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workload: s(small), m(medium), l(large), xl(xLarge)
    #[arg(long, default_value = "s")]
    load: String,
    /// The prefix for writing the datascale check's keys
    #[arg(long, default_value = "/etcdctl-check-datascale/")]
    prefix: String,
    #[command(flatten)]
    after: After,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let (total, clients) = match args.load.as_str() {
        "s" | "small" => (10_000, 50),
        "m" | "medium" => (100_000, 200),
        "l" | "large" => (1_000_000, 500),
        "xl" | "xLarge" => (3_000_000, 1_000),
        other => return Err(unknown_load(other)),
    };
    // One server's memory is meant.
    let flags = &Flags { endpoints: flags.endpoints.iter().take(1).cloned().collect(), ..flags.clone() };
    refuse_used_prefix(flags, &args.prefix).await?;
    println!(
        "Start data scale check for work load [{total} key-value pairs, {VALUE_BYTES} bytes per key-value, {clients} \
         concurrent clients]."
    );
    let before = resident_bytes(flags, "before").await?;
    let plan = Plan { clients, total, time: None, rate: None };
    let connections = load::connections(flags, CONNECTIONS).await?;
    let (prefix, owned) = (args.prefix.clone(), flags.clone());
    let report = load::run(plan, &connections, Progress::new("put", total), move |connection, number| {
        let mut kv = connect::kv(&owned, connection);
        let key = format!("{prefix}{number:016}").into();
        let request = PutRequest { key, value: vec![b'v'; VALUE_BYTES].into(), ..PutRequest::default() };
        async move { kv.put(request).await.map(drop) }
    })
    .await;
    let after = resident_bytes(flags, "after").await?;
    clean(flags, &args.prefix, args.after).await?;
    if tell_errors(&report) {
        return Err(Failure::said());
    }
    println!("PASS: Approximate system memory used : {:.2} MB.", (after - before) / (1024.0 * 1024.0));
    Ok(())
}

async fn resident_bytes(flags: &Flags, when: &str) -> Result<f64, Failure> {
    let read = metric(&flags.endpoints[0]).await;
    read.ok_or_else(|| {
        println!("FAIL: Could not read process_resident_memory_bytes {when} the put operations.");
        Failure::said()
    })
}

/// Over plain HTTP: a server whose client port speaks TLS shows its metrics on `--listen-metrics-urls`, if at all.
async fn metric(endpoint: &str) -> Option<f64> {
    let address = endpoint.strip_prefix("http://").unwrap_or(endpoint);
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let answer = client.get(format!("http://{address}/metrics").parse().ok()?).await.ok()?;
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    text.lines().find_map(|line| line.strip_prefix(METRIC))?.trim().parse().ok()
}
