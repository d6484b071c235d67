//! `kubectl apply -f examples/hello.yaml`: pods run, and the ClusterIP, the NodePort and the DNS name answer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::{Cluster, Host, eventually};

use super::clients::{http_get, http_get_from_outside, spread_over};

/// For what involves starting containers.
pub const RUNNING: Duration = Duration::from_secs(60);
pub const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hello.yaml");

pub fn runs_and_answers(cluster: &mut Cluster) -> Result<()> {
    let applied = cluster.kubectl_ok(&["apply", "-f", EXAMPLE])?;
    for line in ["configmap/hello created", "deployment.apps/hello created", "service/hello created"] {
        ensure!(applied.contains(line), "kubectl apply printed:\n{applied}");
    }
    let status = cluster.kubectl_ok(&["rollout", "status", "deployment/hello", "--timeout=60s"])?;
    ensure!(
        status.contains("deployment \"hello\" successfully rolled out"),
        "rollout status printed:\n{status}"
    );
    pods_have_their_own_addresses(cluster)?;
    services_answer(cluster)?;
    dns_answers(cluster)
}

fn pods_have_their_own_addresses(cluster: &Cluster) -> Result<()> {
    let template = "jsonpath={range .items[*]}{.status.phase} {.status.podIP}{\"\\n\"}{end}";
    let pods = cluster.kubectl_ok(&["get", "pods", "-l", "app=hello", "-o", template])?;
    let addresses: std::collections::BTreeSet<_> =
        pods.lines().filter_map(|line| line.strip_prefix("Running ")).filter(|ip| !ip.is_empty()).collect();
    ensure!(addresses.len() == 3, "three running pods with three addresses, not:\n{pods}");
    Ok(())
}

fn services_answer(cluster: &Cluster) -> Result<()> {
    let address = cluster.kubectl_ok(&["get", "service", "hello", "-o", "jsonpath={.spec.clusterIP}"])?;
    let url = format!("http://{address}/");
    eventually("the ClusterIP answers", RUNNING, || http_get(cluster, &url))?;
    spread_over(3, || http_get(cluster, &url)).context("through the ClusterIP")?;
    let url = format!("http://{}:30080/", Host::ADDRESS);
    spread_over(3, || http_get(cluster, &url)).context("through the NodePort, on the node")?;
    spread_over(3, || http_get_from_outside(cluster, &url)).context("through the NodePort, from outside")
}

/// A pod finds the service by name and reaches it.
fn dns_answers(cluster: &Cluster) -> Result<()> {
    let pod = first_pod(cluster)?;
    let resolver = cluster.kubectl_ok(&["exec", &pod, "--", "cat", "/etc/resolv.conf"])?;
    for line in [
        "search default.svc.cluster.local svc.cluster.local cluster.local",
        "nameserver 10.96.0.10",
        "ndots:5",
    ] {
        ensure!(resolver.contains(line), "no {line:?} in the pod's resolv.conf:\n{resolver}");
    }
    let address = cluster.kubectl_ok(&["get", "service", "hello", "-o", "jsonpath={.spec.clusterIP}"])?;
    let name = "hello.default.svc.cluster.local";
    let found = cluster.kubectl_ok(&["exec", &pod, "--", "nslookup", "-type=a", name])?;
    ensure!(found.contains(&format!("Address: {address}")), "nslookup {name} printed:\n{found}");
    // This busybox's wget crashes at its start on some systems; its nc does not.
    let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {name} 80");
    let body = cluster.kubectl_ok(&["exec", &pod, "--", "sh", "-c", &ask])?;
    ensure!(body.contains("hello from balsa, pod hello-"), "{name} answered the pod with:\n{body}");
    let missing =
        cluster.kubectl_fails(&["exec", &pod, "--", "nslookup", "nothing.default.svc.cluster.local"])?;
    ensure!(missing.contains("exit code 1"), "a name that does not exist: {missing}");
    Ok(())
}

pub fn first_pod(cluster: &Cluster) -> Result<String> {
    cluster.kubectl_ok(&["get", "pods", "-l", "app=hello", "-o", "jsonpath={.items[0].metadata.name}"])
}
