//! What a cluster does by itself: restarts, replaces, collects.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::Cluster;

use super::hello::{EXAMPLE, RUNNING, first_pod};

fn apply_hello(cluster: &Cluster) -> Result<()> {
    cluster.kubectl_ok(&["apply", "-f", EXAMPLE])?;
    cluster.kubectl_ok(&["rollout", "status", "deployment/hello", "--timeout=60s"]).map(drop)
}

pub fn killed_container_restarts(cluster: &mut Cluster) -> Result<()> {
    apply_hello(cluster)?;
    let pod = first_pod(cluster)?;
    let restarts = [
        "get",
        "pod",
        &pod,
        "-o",
        "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}",
    ];
    for count in 1..=2 {
        // The exec dies with the container, so how it ends says nothing.
        cluster.kubectl(&["exec", &pod, "--", "kill", "1"]).output().context("run kubectl exec")?;
        let what = format!("restart {count}");
        cluster.kubectl_until(&what, RUNNING, &restarts, |output| output == format!("{count} true"))?;
    }
    // The second restart of a container that keeps dying waits; the waiting shows.
    let events = cluster.kubectl_ok(&[
        "get",
        "events",
        "--field-selector",
        &format!("involvedObject.name={pod}"),
        "-o",
        "jsonpath={.items[*].reason}",
    ])?;
    ensure!(events.contains("BackOff"), "events of the pod: {events}");
    let previous = cluster.kubectl_ok(&["logs", "--previous", &pod])?;
    ensure!(previous.contains("serving"), "logs --previous: {previous}");
    Ok(())
}

pub fn deleted_pod_is_replaced(cluster: &mut Cluster) -> Result<()> {
    apply_hello(cluster)?;
    let pod = first_pod(cluster)?;
    let deleted = cluster.kubectl_ok(&["delete", "pod", &pod])?;
    ensure!(deleted.contains(&format!("pod \"{pod}\" deleted")), "kubectl delete printed: {deleted}");
    let ready = ["get", "deployment", "hello", "-o", "jsonpath={.status.readyReplicas}"];
    cluster.kubectl_until("three ready pods again", RUNNING, &ready, |output| output == "3")?;
    let names = cluster.kubectl_ok(&["get", "pods", "-l", "app=hello", "-o", "name"])?;
    ensure!(names.lines().count() == 3 && !names.contains(&pod), "pods after the replacement:\n{names}");
    Ok(())
}

pub fn deleted_deployment_takes_all(cluster: &mut Cluster) -> Result<()> {
    apply_hello(cluster)?;
    cluster.kubectl_ok(&["delete", "deployment", "hello", "--cascade=foreground", "--timeout=60s"])?;
    let left = cluster.kubectl_ok(&["get", "replicasets,pods", "-l", "app=hello", "-o", "name"])?;
    ensure!(left.is_empty(), "foreground deletion returned before its dependents were gone:\n{left}");
    apply_hello(cluster)?;
    cluster.kubectl_ok(&["delete", "deployment", "hello"])?;
    let owned = ["get", "replicasets,pods,endpointslices", "-l", "app=hello", "-o", "name"];
    cluster.kubectl_until("the replica sets and pods go", RUNNING, &owned, str::is_empty)?;
    cluster.kubectl_ok(&["delete", "-f", EXAMPLE, "--ignore-not-found"]).map(drop)
}

pub fn deleted_namespace_goes(cluster: &mut Cluster) -> Result<()> {
    cluster.kubectl_ok(&["create", "namespace", "short"])?;
    cluster
        .kubectl_until(
            "the default service account comes",
            RUNNING,
            &["get", "serviceaccounts", "-n", "short", "-o", "name"],
            |output| output.contains("serviceaccount/default"),
        )
        .context("a fresh namespace")?;
    cluster.kubectl_ok(&[
        "create",
        "deployment",
        "busy",
        "-n",
        "short",
        "--image=balsa.local/busybox:1",
        "--",
        "sleep",
        "1000",
    ])?;
    cluster.kubectl_ok(&["create", "configmap", "data", "-n", "short", "--from-literal=a=b"])?;
    cluster.kubectl_ok(&[
        "wait",
        "-n",
        "short",
        "--for=condition=Available",
        "deployment/busy",
        "--timeout=60s",
    ])?;
    cluster.kubectl_ok(&["delete", "namespace", "short", "--timeout=90s"])?;
    let refused = cluster.kubectl_fails(&["get", "namespace", "short"])?;
    ensure!(
        refused.contains("namespaces \"short\" not found"),
        "the namespace after its deletion: {refused}"
    );
    let left = cluster.kubectl_ok(&["get", "all,configmaps", "-n", "short", "-o", "name"])?;
    ensure!(left.is_empty(), "left in the namespace:\n{left}");
    cluster
        .kubectl_until(
            "no container of it runs",
            Duration::from_secs(20),
            &["get", "pods", "-A", "-o", "name"],
            |output| !output.contains("busy"),
        )
        .map(drop)
}
