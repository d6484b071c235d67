//! Small clients of a cluster's services, run on its host.

use anyhow::{Context, Result, bail};
use balsa_chaos_tests::lab::Cluster;
use balsa_chaos_tests::lab::cluster::expect_success;

/// The body of an HTTP answer with status 200, asked from the cluster's host.
pub fn http_get(cluster: &Cluster, url: &str) -> Result<String> {
    let output = cluster.host().command("curl").args(["-sS", "--max-time", "5", "-f", url]).output();
    expect_success(&format!("curl {url}"), &output.context("run curl")?)
}

/// The same, asked by a neighbour of the host.
pub fn http_get_from_outside(cluster: &Cluster, url: &str) -> Result<String> {
    let output = cluster.host().outside_command("curl").args(["-sS", "--max-time", "5", "-f", url]).output();
    expect_success(&format!("curl {url} from outside"), &output.context("run curl")?)
}

/// Asks until `backends` different bodies have come; more calls than that many fair coins would ever need.
pub fn spread_over(backends: usize, mut ask: impl FnMut() -> Result<String>) -> Result<()> {
    let mut bodies = std::collections::BTreeSet::new();
    for _ in 0..backends * 40 {
        bodies.insert(ask()?);
        if bodies.len() == backends {
            return Ok(());
        }
    }
    bail!("only {} of {backends} pods answered: {bodies:?}", bodies.len())
}
