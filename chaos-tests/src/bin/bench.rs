//! `./dev bench`: what README and docs/benchmarks.md quote.
//!
//! The store is measured beside a stock etcd in the same run, in turns, so that a machine whose speed drifts does not
//! favour one. The cluster is measured as a user meets it: by kubectl and the clock.

use anyhow::{Result, bail};
use balsa_chaos_tests::measure::{cluster, machine, store};

/// Answers of some megabytes come and go; the system's allocator would ask the kernel for each of them.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const USAGE: &str = "\
bench                              store --quick, then cluster
bench store                        three members beside three of stock etcd; rewrites docs/benchmarks.md
bench store [--quick] [--only PART] [--stock PATH] [--tls]
                                   the same, but short rounds and no large state (under three minutes), only the rows
                                   whose name holds PART, beside another etcd than the one on the path, or with members
                                   and clients that talk over TLS; writes nothing
bench cluster                      a one-node cluster: time to Ready, memory, apply to Running";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        None => {
            store::run(&store::Options { quick: true, ..store::Options::default() })?;
            run_cluster()
        }
        Some("store") => store::run(&store_options(&words[1..])?),
        Some("cluster") if words.len() == 1 => run_cluster(),
        Some(_) => bail!("these arguments are not understood; the usage is\n{USAGE}"),
    }
}

fn run_cluster() -> Result<()> {
    println!("machine: {}", machine::describe());
    cluster::run()
}

fn store_options(words: &[String]) -> Result<store::Options> {
    let mut options = store::Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), words.clone().next()) {
            ("--quick", _) => options.quick = true,
            ("--tls", _) => options.tls = true,
            ("--only", Some(part)) => {
                options.only = Some(part.clone());
                words.next();
            }
            ("--stock", Some(path)) => {
                options.stock = Some(path.into());
                words.next();
            }
            _ => bail!("{word} is not understood or lacks its value; the usage is\n{USAGE}"),
        }
    }
    if !options.quick && options.only.is_none() && options.stock.is_none() && !options.tls {
        options.write_to = Some("docs/benchmarks.md".into());
    }
    Ok(options)
}
