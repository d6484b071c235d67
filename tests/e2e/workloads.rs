//! What the control plane runs beyond deployments: daemons, component health, and controllers of which one leads.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::{Cluster, Process, binary};

use super::hello::RUNNING;

const DAEMON: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: agent }
spec:
  selector: { matchLabels: { app: agent } }
  updateStrategy: { type: RollingUpdate, rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }
  template:
    metadata: { labels: { app: agent } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - { name: main, image: 'balsa.local/busybox:latest', imagePullPolicy: IfNotPresent, command: [sleep, '1000'] }
";

pub fn daemons_run_and_roll(cluster: &mut Cluster) -> Result<()> {
    let file = cluster.scratch().join("daemon.yaml");
    std::fs::write(&file, DAEMON).context("write the daemon set")?;
    let file = file.display().to_string();
    let rolled = || cluster.kubectl_ok(&["rollout", "status", "daemonset/agent", "--timeout=60s"]).map(drop);
    cluster.kubectl_ok(&["apply", "-f", &file])?;
    rolled()?;
    cluster.kubectl_ok(&["set", "image", "daemonset/agent", "main=balsa.local/busybox:1"])?;
    rolled()?;
    let image = ["get", "pods", "-l", "app=agent", "-o", "jsonpath={.items[*].spec.containers[0].image}"];
    let images = "one pod of the new image is left";
    cluster.kubectl_until(images, RUNNING, &image, |output| output == "balsa.local/busybox:1")?;
    let history = cluster.kubectl_ok(&["rollout", "history", "daemonset/agent"])?;
    ensure!(history.contains("\n1 ") && history.contains("\n2 "), "history of the daemon set:\n{history}");
    cluster.kubectl_ok(&["rollout", "undo", "daemonset/agent"])?;
    rolled()?;
    cluster.kubectl_until("the first image is back", RUNNING, &image, |output| {
        output == "balsa.local/busybox:latest"
    })?;
    let sources = ["get", "events", "--field-selector", "involvedObject.name=agent"];
    let sources = [&sources[..], &["-o", "jsonpath={.items[*].source.component}"]].concat();
    let sources = cluster.kubectl_ok(&sources)?;
    ensure!(sources.contains("daemonset-controller"), "sources of its events: {sources}");
    cluster.kubectl_ok(&["delete", "-f", &file])?;
    cluster.kubectl_until("its pods go", RUNNING, &image, str::is_empty).map(drop)
}

pub fn components_are_healthy(cluster: &mut Cluster) -> Result<()> {
    let healthy = cluster.kubectl_ok(&[
        "get",
        "componentstatuses",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name}={.conditions[0].status} {end}",
    ])?;
    ensure!(healthy.trim() == "controller-manager=True etcd-0=True scheduler=True", "components: {healthy}");
    let dns = cluster.kubectl_ok(&["get", "service", "-n", "kube-system", "kube-dns"])?;
    ensure!(dns.contains("10.96.0.10") && dns.contains("53/UDP,53/TCP"), "the DNS service:\n{dns}");
    Ok(())
}

/// Who holds the lease, and how often it has changed hands.
const HOLDER: [&str; 6] = [
    "get",
    "lease",
    "-n",
    "kube-system",
    "two-candidates",
    "-o=jsonpath={.spec.holderIdentity} {.spec.leaseTransitions}",
];

/// A leader that stops gives the lease back, so the other need not wait until it expires.
pub fn one_of_two_controllers_leads(cluster: &mut Cluster) -> Result<()> {
    let mut first = candidate(cluster, "first")?;
    first.wait_for_log("leading", Duration::from_secs(20))?;
    let led = cluster.kubectl_ok(&HOLDER)?;
    let mut second = candidate(cluster, "second")?;
    first.stop()?;
    second.wait_for_log("leading", Duration::from_secs(20))?;
    let leads = cluster.kubectl_ok(&HOLDER)?;
    let holder = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    ensure!(!holder(&leads).is_empty() && holder(&led) != holder(&leads), "first {led}, then {leads}");
    ensure!(leads.ends_with(" 1"), "transitions: {leads}");
    second.stop()?;
    cluster.kubectl_ok(&["delete", "lease", "-n", "kube-system", "two-candidates"]).map(drop)
}

fn candidate(cluster: &Cluster, name: &str) -> Result<Process> {
    let kubeconfig = cluster.data_dir().join("pki/kube-controller-manager.kubeconfig");
    let mut command = cluster.host().command(binary("balsa")?);
    command.args(["controllers", "--leader-elect-resource-name=two-candidates", "--controllers=podgc"]);
    command.arg("--secure-port=0").arg("--kubeconfig").arg(kubeconfig);
    Process::start(&mut command, &cluster.scratch().join(format!("{name}.log")))
}
