//! `kill -9` of `balsa up` under load: every acknowledged object is there afterwards, containers never stopped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::Cluster;

use super::hello::{EXAMPLE, first_pod};
use super::streams::port_forward;

pub fn kill_nine_under_load(cluster: &mut Cluster) -> Result<()> {
    cluster.kubectl_ok(&["apply", "-f", EXAMPLE])?;
    cluster.kubectl_ok(&["rollout", "status", "deployment/hello", "--timeout=60s"])?;
    let containers_before = containers(cluster)?;
    let version_before = list_version(cluster)?;

    let acknowledged = create_until_killed(cluster)?;
    ensure!(acknowledged.len() > 3, "the load wrote only {} objects before the kill", acknowledged.len());
    cluster.resume()?;

    let present = cluster.kubectl_ok(&[
        "get",
        "configmaps",
        "-l",
        "load=yes",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}",
    ])?;
    let present: BTreeMap<&str, &str> = present.lines().filter_map(|line| line.split_once(' ')).collect();
    for (name, version) in &acknowledged {
        ensure!(
            present.get(name.as_str()) == Some(&version.as_str()),
            "{name} was acknowledged at {version} and is now {:?}",
            present.get(name.as_str())
        );
    }
    let version_after = list_version(cluster)?;
    ensure!(version_after >= version_before, "resourceVersion went from {version_before} to {version_after}");
    cluster.kubectl_ok(&["rollout", "status", "deployment/hello", "--timeout=60s"])?;
    let containers_after = containers(cluster)?;
    ensure!(
        containers_before == containers_after,
        "containers before {containers_before}\nand after {containers_after}"
    );
    // Streams reach containers that were started in the life before.
    let pod = first_pod(cluster)?;
    ensure!(
        cluster.kubectl_ok(&["exec", &pod, "--", "echo", "reached"])? == "reached\n",
        "exec after the kill"
    );
    port_forward(cluster, &format!("pod/{pod}"), &format!("pod {pod}"))?;
    cluster.kubectl_ok(&["delete", "configmaps", "-l", "load=yes"])?;
    cluster.kubectl_ok(&["delete", "-f", EXAMPLE]).map(drop)
}

/// Creates one ConfigMap after the other until the kill breaks one; those that were acknowledged, with their versions.
fn create_until_killed(cluster: &mut Cluster) -> Result<BTreeMap<String, String>> {
    let stop = AtomicBool::new(false);
    let commands: Vec<_> = (0..200).map(|number| {
        let name = format!("load-{number}");
        let manifest = format!("{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"labels\":{{\"load\":\"yes\"}}}}}}");
        let path = cluster.scratch().join(format!("{name}.json"));
        std::fs::write(&path, manifest).map(|()| {
            let path = path.to_string_lossy().into_owned();
            (name, cluster.kubectl(&["create", "-f", &path, "-o", "jsonpath={.metadata.resourceVersion}"]))
        })
    }).collect::<std::io::Result<_>>().context("write the manifests")?;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut acknowledged = BTreeMap::new();
            for (name, mut command) in commands {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let output = command.output().context("run kubectl create")?;
                if output.status.success() {
                    acknowledged.insert(name, String::from_utf8_lossy(&output.stdout).into_owned());
                } else {
                    break;
                }
            }
            anyhow::Ok(acknowledged)
        });
        // Far enough into the load that objects have been acknowledged.
        cluster.kubectl_until(
            "the load is under way",
            super::hello::RUNNING,
            &["get", "configmaps", "-l", "load=yes", "-o", "name"],
            |output| output.lines().count() > 5,
        )?;
        cluster.process().kill_nine()?;
        stop.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?
    })
}

fn containers(cluster: &Cluster) -> Result<String> {
    cluster.kubectl_ok(&["get", "pods", "-l", "app=hello", "--sort-by=.metadata.name", "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{\"\\n\"}{end}"])
}

fn list_version(cluster: &Cluster) -> Result<u64> {
    let list = cluster.kubectl_ok(&["get", "--raw", "/api/v1/namespaces?limit=1"])?;
    let list: serde_json::Value = serde_json::from_str(&list).context("parse the list")?;
    let version = list["metadata"]["resourceVersion"].as_str().context("the list has a resourceVersion")?;
    version.parse().context("it is a number")
}
