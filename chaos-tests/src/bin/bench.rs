//! `./dev bench`: what README quotes. Prints a table; writes nothing.
//!
//! The store is measured beside a stock etcd in the same run, in turns, so that a machine whose speed drifts does not
//! favour one. The cluster is measured as a user meets it: by kubectl and the clock.

use anyhow::{Result, bail};
use balsa_chaos_tests::measure::{cluster, machine, store};

fn main() -> Result<()> {
    let what: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = what.iter().find(|word| !matches!(word.as_str(), "store" | "cluster")) {
        bail!("unknown benchmark {unknown}: give store, cluster, or nothing for both");
    }
    let wanted = |name: &str| what.is_empty() || what.iter().any(|word| word == name);
    println!("machine: {}", machine::describe());
    if wanted("store") {
        store::run()?;
    }
    if wanted("cluster") {
        cluster::run()?;
    }
    Ok(())
}
