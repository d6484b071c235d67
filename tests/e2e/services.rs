//! Services of every kind, and their names: affinity, local policy, no endpoints, headless, external names, SRV, PTR.

use anyhow::{Context, Result, bail, ensure};
use balsa_chaos_tests::lab::{Cluster, Host, eventually};

use super::clients::{http_get, http_get_from_outside, spread_over};
use super::hello::RUNNING;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/manifests/services.yaml");

pub fn services_of_every_kind(cluster: &mut Cluster) -> Result<()> {
    cluster.kubectl_ok(&["apply", "-f", MANIFEST])?;
    cluster.kubectl_ok(&["rollout", "status", "deployment/named", "--timeout=60s"])?;
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod/asks", "--timeout=60s"])?;
    affinity_holds_and_ends(cluster)?;
    let local = format!("http://{}:30090/", Host::ADDRESS);
    spread_over(2, || http_get_from_outside(cluster, &local)).context("externalTrafficPolicy Local")?;
    nobody_there_is_refused(cluster)?;
    names(cluster)?;
    cluster.kubectl_ok(&["delete", "-f", MANIFEST, "--now", "--timeout=60s"]).map(drop)
}

fn address(cluster: &Cluster, service: &str) -> Result<String> {
    cluster.kubectl_ok(&["get", "service", service, "-o", "jsonpath={.spec.clusterIP}"])
}

/// The same pod while calls come within the timeout; once it is over, sometimes another one.
fn affinity_holds_and_ends(cluster: &Cluster) -> Result<()> {
    let url = format!("http://{}/", address(cluster, "sticky")?);
    let first = eventually("the service answers", RUNNING, || http_get(cluster, &url))?;
    for _ in 0..10 {
        let again = http_get(cluster, &url)?;
        ensure!(again == first, "{first:?} answered first, {again:?} within the timeout");
    }
    // Forgotten, the client draws again; more draws than that many fair coins would ever need.
    for _ in 0..40 {
        eventually("the kernel forgets the client", RUNNING, || {
            let sets = cluster.host().command("nft").args(["list", "sets"]).output().context("run nft")?;
            let sets = String::from_utf8_lossy(&sets.stdout).into_owned();
            if sets.contains("expires") { bail!("it still knows:\n{sets}") } else { Ok(()) }
        })?;
        if http_get(cluster, &url)? != first {
            return Ok(());
        }
    }
    bail!("the affinity to {first:?} outlives its timeout")
}

/// Refused at once (curl's error 7), not left waiting.
fn nobody_there_is_refused(cluster: &Cluster) -> Result<()> {
    let at_once = |url: &str, asked: Result<String>| {
        let Err(refused) = asked else { bail!("{url} answered, and has no endpoints") };
        ensure!(format!("{refused:#}").contains("(7)"), "{url} is not refused at once: {refused:#}");
        Ok(())
    };
    let cluster_ip = format!("http://{}/", address(cluster, "deserted")?);
    at_once(&cluster_ip, http_get(cluster, &cluster_ip))?;
    let node_port = format!("http://{}:30091/", Host::ADDRESS);
    at_once(&node_port, http_get(cluster, &node_port))?;
    at_once(&node_port, http_get_from_outside(cluster, &node_port))
}

fn names(cluster: &Cluster) -> Result<()> {
    let lookup = |kind: &str, name: &str| {
        cluster.kubectl_ok(&["exec", "asks", "--", "nslookup", &format!("-type={kind}"), name])
    };
    let pods =
        cluster.kubectl_ok(&["get", "pods", "-l", "app=named", "-o", "jsonpath={.items[*].status.podIP}"])?;
    let plain = address(cluster, "plain")?;
    let reversed = |address: &str| {
        let parts: Vec<&str> = address.split('.').rev().collect();
        format!("{}.in-addr.arpa", parts.join("."))
    };
    let said = lookup("a", "headless.default.svc.cluster.local")?;
    for pod in pods.split(' ') {
        ensure!(said.contains(&format!("Address: {pod}")), "headless has no {pod}:\n{said}");
        let said = lookup("srv", "_http._tcp.headless.default.svc.cluster.local")?;
        let target = format!("8080 {}.headless.default.svc.cluster.local", pod.replace('.', "-"));
        ensure!(said.contains(&target), "no SRV record {target}:\n{said}");
    }
    let said = lookup("srv", "_dns._udp.plain.default.svc.cluster.local")?;
    ensure!(said.contains("53 plain.default.svc.cluster.local"), "SRV of a ClusterIP:\n{said}");
    let said = lookup("ptr", &reversed(&plain))?;
    ensure!(said.contains("name = plain.default.svc.cluster.local"), "PTR of a ClusterIP:\n{said}");
    let said = lookup("a", "outside.default.svc.cluster.local")?;
    ensure!(
        said.contains("canonical name = plain.default.svc.cluster.local") && said.contains(&plain),
        "an external name that is one of ours:\n{said}"
    );
    // A short name goes through the search list of the pod.
    let answer = cluster.kubectl_ok(&[
        "exec",
        "asks",
        "--",
        "sh",
        "-c",
        "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 plain 80",
    ])?;
    ensure!(answer.contains("named-"), "by its short name the service answered:\n{answer}");
    Ok(())
}
