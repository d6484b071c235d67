//! Probes decide over readiness and restarts, hooks run where they should, and grace periods are kept.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::Cluster;

use super::hello::RUNNING;

const MANIFEST: &str = include_str!("manifests/probes.yaml");

pub fn probes_and_hooks_decide(cluster: &mut Cluster) -> Result<()> {
    let path = cluster.scratch().join("probes.yaml");
    let scratch = cluster.scratch().display().to_string();
    std::fs::write(&path, MANIFEST.replace("@SCRATCH@", &scratch)).context("write the manifest")?;
    let path = path.display().to_string();
    cluster.kubectl_ok(&["apply", "-f", &path])?;
    readiness_waits_for_its_probe(cluster)?;
    liveness_restarts(cluster)?;
    has_event(cluster, "never-starts", "Container main failed startup probe, will be restarted")?;
    has_event(cluster, "bad-hook", "PostStartHook failed")?;
    hooks_and_grace(cluster)?;
    cluster.kubectl_ok(&["delete", "-f", &path, "--now", "--ignore-not-found", "--timeout=60s"]).map(drop)
}

fn states(cluster: &Cluster, what: &str, wanted: &str) -> Result<()> {
    let template = "jsonpath={range .status.containerStatuses[*]}{.name} {.ready} {.restartCount};{end}";
    let asked = ["get", "pod", "probed", "-o", template];
    cluster.kubectl_until(what, RUNNING, &asked, |output| output == wanted).map(drop)
}

fn run(cluster: &Cluster, container: &str, command: &[&str]) -> Result<()> {
    let mut arguments = vec!["exec", "probed", "-c", container, "--"];
    arguments.extend(command);
    cluster.kubectl_ok(&arguments).map(drop)
}

fn readiness_waits_for_its_probe(cluster: &Cluster) -> Result<()> {
    let started = ["get", "pod", "probed", "-o", "jsonpath={.status.containerStatuses[*].started}"];
    cluster.kubectl_until("all started", RUNNING, &started, |output| output == "true true true")?;
    states(cluster, "started, not ready", "exec false 0;http false 0;tcp false 0;")?;
    run(cluster, "exec", &["touch", "/tmp/ready"])?;
    run(cluster, "http", &["touch", "/www/ready"])?;
    run(cluster, "tcp", &["touch", "/tmp/ready"])?;
    states(cluster, "all ready", "exec true 0;http true 0;tcp true 0;")?;
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod/probed", "--timeout=30s"])?;
    run(cluster, "http", &["rm", "/www/ready"])?;
    states(cluster, "one not ready any more", "exec true 0;http false 0;tcp true 0;")
}

fn liveness_restarts(cluster: &Cluster) -> Result<()> {
    run(cluster, "exec", &["rm", "/tmp/alive"])?;
    run(cluster, "http", &["rm", "/www/alive"])?;
    states(cluster, "two restarted", "exec false 1;http false 1;tcp true 0;")?;
    has_event(cluster, "probed", "Container http failed liveness probe, will be restarted")?;
    has_event(cluster, "probed", "Liveness probe failed: HTTP probe failed with statuscode: 404")
}

fn has_event(cluster: &Cluster, pod: &str, text: &str) -> Result<()> {
    let selector = format!("involvedObject.name={pod}");
    let asked = ["get", "events", "--field-selector", &selector, "-o", "jsonpath={.items[*].message}"];
    cluster
        .kubectl_until(&format!("an event of {pod}"), RUNNING, &asked, |output| output.contains(text))
        .map(drop)
}

fn hooks_and_grace(cluster: &Cluster) -> Result<()> {
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod/hooked", "--timeout=60s"])?;
    let uptime = || -> Result<f64> {
        first_number(&std::fs::read_to_string("/proc/uptime").context("read the uptime")?)
    };
    let (started, before) = (Instant::now(), uptime()?);
    cluster.kubectl_ok(&["delete", "pod", "hooked", "--timeout=60s"])?;
    let took = started.elapsed();
    let log = |name: &str| {
        std::fs::read_to_string(cluster.scratch().join("hooks").join(name)).context("read a hook's log")
    };
    ensure!(log("exec")? == "exec-start\nexec-stop\nexec-term\n", "exec hooks left {:?}", log("exec")?);
    ensure!(log("http")? == "http-stop-now\nhttp-term\n", "the http hook left {:?}", log("http")?);
    let slept = first_number(&log("sleep")?)? - before;
    ensure!(slept >= 1.0, "SIGTERM came {slept} s after the deletion, in spite of a hook that sleeps 1 s");
    // What ignores SIGTERM is killed when the grace period of 4 s is over.
    ensure!(took >= Duration::from_secs(4), "a container that ignores SIGTERM was gone after {took:?}");
    Ok(())
}

fn first_number(text: &str) -> Result<f64> {
    text.split_whitespace().next().context("empty")?.parse().context("no number")
}
