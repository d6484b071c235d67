//! A one-node cluster as a user meets it: time to Ready, memory, `kubectl apply` to Running.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::machine::resident_mib;
use super::spread::Spread;
use crate::lab::{Cluster, eventually};

const STARTS: usize = 5;
const ONE_POD_ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(180);
/// Long enough for start-up work to settle.
const IDLE: Duration = Duration::from_secs(10);

pub fn run() -> Result<()> {
    println!("\ncluster, one node, balsa up with its own containerd");
    let mut cluster = Cluster::prepare(&[])?;
    let first = timed(|| cluster.resume())?;
    row("balsa up to node Ready, first start, s", &format!("{first:.2}"));
    let mut again = Spread::default();
    for _ in 0..STARTS {
        cluster.process().stop()?;
        again.add(timed(|| cluster.resume())?);
    }
    row("balsa up to node Ready, later starts, s", &again.to_string());

    std::thread::sleep(IDLE);
    let pid = cluster.process().pid();
    row("resident memory of balsa, idle, MiB", &format!("{:.0}", resident_mib(pid)));

    let mut one = Spread::default();
    for round in 0..ONE_POD_ROUNDS {
        one.add(apply_to_running(&cluster, &format!("one-{round}"), 1)?);
    }
    row("kubectl apply to Running, 1 pod, s", &one.to_string());
    row("kubectl apply to Running, 30 pods, s", &format!("{:.2}", apply_to_running(&cluster, "thirty", 30)?));

    create(&cluster, "hundred", 100)?;
    wait_running(&cluster, "hundred", 100)?;
    std::thread::sleep(IDLE);
    row("resident memory of balsa, 100 pods, MiB", &format!("{:.0}", resident_mib(pid)));
    Ok(())
}

fn row(name: &str, figure: &str) {
    println!("{name:<44} {figure}");
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds from the start of `kubectl apply` until all pods run; the pods are deleted afterwards.
fn apply_to_running(cluster: &Cluster, name: &str, replicas: usize) -> Result<f64> {
    let took = timed(|| {
        create(cluster, name, replicas)?;
        wait_running(cluster, name, replicas)
    })?;
    cluster.kubectl_ok(&["delete", "deployment", name, "--cascade=foreground"])?;
    Ok(took)
}

fn create(cluster: &Cluster, name: &str, replicas: usize) -> Result<()> {
    let manifest = serde_json::json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"bench": name}},
            "template": {
                "metadata": {"labels": {"bench": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "main", "image": "balsa.local/busybox:latest", "imagePullPolicy": "IfNotPresent",
                                    "command": ["sleep", "100000"]}],
                },
            },
        },
    });
    let path = cluster.scratch().join(format!("{name}.json"));
    std::fs::write(&path, manifest.to_string()).context("write the manifest")?;
    cluster.kubectl_ok(&["apply", "-f", &path.to_string_lossy()]).map(drop)
}

fn wait_running(cluster: &Cluster, name: &str, replicas: usize) -> Result<()> {
    let selector = format!("bench={name}");
    let template = "jsonpath={range .items[*]}{.status.phase}{\"\\n\"}{end}";
    eventually(&format!("{replicas} pods run"), PATIENCE, || {
        let phases = cluster.kubectl_ok(&["get", "pods", "-l", &selector, "-o", template])?;
        let running = phases.lines().filter(|phase| *phase == "Running").count();
        if running == replicas { Ok(()) } else { bail!("{running} run") }
    })
}
