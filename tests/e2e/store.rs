//! The stock etcdctl against our store: alone, with three members, and through the death of one.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use balsa_chaos_tests::lab::cluster::expect_success;
use balsa_chaos_tests::lab::{Cluster, Process, binary, eventually};

const SERVING: &str = "ready to serve client requests";

/// Members of a store on loopback ports of this machine.
struct Members {
    processes: Vec<Process>,
    endpoints: String,
    dir: tempfile::TempDir,
}

impl Members {
    fn start(count: u16, base_port: u16) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a data directory")?;
        let client = |number: u16| format!("http://127.0.0.1:{}", base_port + 2 * number);
        let peer = |number: u16| format!("http://127.0.0.1:{}", base_port + 2 * number + 1);
        let initial =
            (0..count).map(|number| format!("m{number}={}", peer(number))).collect::<Vec<_>>().join(",");
        let mut processes = Vec::new();
        for number in 0..count {
            let name = format!("m{number}");
            let mut command = Command::new(binary("balsa")?);
            command.args(["store", "--name", &name, "--initial-cluster", &initial]);
            command.args([
                "--listen-client-urls",
                &client(number),
                "--advertise-client-urls",
                &client(number),
            ]);
            command.args([
                "--listen-peer-urls",
                &peer(number),
                "--initial-advertise-peer-urls",
                &peer(number),
            ]);
            command.arg("--data-dir").arg(dir.path().join(&name));
            processes.push(Process::start(&mut command, &dir.path().join(format!("{name}.log")))?);
        }
        for process in &mut processes {
            process.wait_for_log(SERVING, Duration::from_secs(20))?;
        }
        // Without a scheme: etcdctl 3.4 would put `http://…` into the `:authority` of `endpoint status` (docs/divergence.md).
        let endpoint = |number: u16| format!("127.0.0.1:{}", base_port + 2 * number);
        let endpoints = (0..count).map(endpoint).collect::<Vec<_>>().join(",");
        Ok(Self { processes, endpoints, dir })
    }

    fn etcdctl(&self, arguments: &[&str]) -> Result<String> {
        etcdctl(&self.endpoints, arguments)
    }
}

fn etcdctl(endpoints: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", endpoints])
        .args(arguments)
        .output();
    expect_success(
        &format!("etcdctl {}", arguments.join(" ")),
        &output.context("run etcdctl (package etcd-client)")?,
    )
}

pub fn etcdctl_against(members: u16) -> Result<()> {
    let store = Members::start(members, 23100 + 100 * members)?;
    let row = |arguments: &[&str], expected: &str| -> Result<()> {
        let printed = store.etcdctl(arguments)?;
        ensure!(
            printed == expected,
            "etcdctl {}: expected {expected:?}, printed {printed:?}",
            arguments.join(" ")
        );
        Ok(())
    };
    row(&["put", "a", "1"], "OK\n")?;
    row(&["put", "a", "2", "--prev-kv"], "OK\na\n1\n")?;
    row(&["get", "a"], "a\n2\n")?;
    row(&["get", "a", "--rev=2"], "a\n1\n")?;
    row(&["put", "b", "3"], "OK\n")?;
    row(&["get", "", "--prefix", "--keys-only"], "a\n\nb\n\n")?;
    row(&["get", "a", "c", "--order=DESCEND", "--print-value-only"], "3\n2\n")?;
    row(&["del", "b", "--prev-kv"], "1\nb\n3\n")?;
    txn(&store)?;
    lease(&store)?;
    watch(&store)?;
    row(&["compaction", "4"], "compacted revision 4\n")?;
    let compacted =
        store.etcdctl(&["get", "a", "--rev=2"]).err().context("a compacted revision is refused")?;
    ensure!(
        format!("{compacted:#}").contains("etcdserver: mvcc: required revision has been compacted"),
        "{compacted:#}"
    );
    let listed = store.etcdctl(&["member", "list"])?;
    ensure!(
        listed.lines().filter(|line| line.contains(", started, m")).count() == usize::from(members),
        "member list:\n{listed}"
    );
    let status = store.etcdctl(&["endpoint", "status"])?;
    ensure!(status.lines().filter(|line| line.contains(", true, ")).count() == 1, "one leader:\n{status}");
    Ok(())
}

fn txn(store: &Members) -> Result<()> {
    use std::io::Write as _;
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--endpoints", &store.endpoints, "txn"]);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("start etcdctl txn")?;
    let script = "mod(\"a\") > \"0\"\n\nput chosen then\nget a\n\nput chosen else\n\n";
    child
        .stdin
        .take()
        .context("take its input")?
        .write_all(script.as_bytes())
        .context("type the transaction")?;
    let printed = expect_success("etcdctl txn", &child.wait_with_output().context("read its output")?)?;
    ensure!(printed == "SUCCESS\n\nOK\n\na\n2\n", "etcdctl txn printed {printed:?}");
    Ok(())
}

fn lease(store: &Members) -> Result<()> {
    let granted = store.etcdctl(&["lease", "grant", "60"])?;
    let id = granted.split(' ').nth(1).context("lease ID in the answer")?.to_owned();
    ensure!(granted == format!("lease {id} granted with TTL(60s)\n"), "lease grant printed {granted:?}");
    store.etcdctl(&["put", "leased", "x", &format!("--lease={id}")])?;
    let alive = store.etcdctl(&["lease", "keep-alive", "--once", &id])?;
    ensure!(alive == format!("lease {id} keepalived with TTL(60)\n"), "lease keep-alive printed {alive:?}");
    let left = store.etcdctl(&["lease", "timetolive", &id, "--keys"])?;
    ensure!(
        left.contains("granted with TTL(60s), remaining(") && left.contains("attached keys([leased])"),
        "{left}"
    );
    store.etcdctl(&["lease", "revoke", &id])?;
    ensure!(store.etcdctl(&["get", "leased"])?.is_empty(), "a revoked lease takes its keys");
    Ok(())
}

/// From a revision in the past, so that what comes does not depend on timing.
fn watch(store: &Members) -> Result<()> {
    let log = store.dir.path().join("watch.out");
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args([
        "--endpoints",
        &store.endpoints,
        "watch",
        "a",
        "--rev=2",
        "--prev-kv",
    ]);
    let mut watching = Process::start(&mut command, &log)?;
    watching.wait_for_log("PUT\na\n1\na\n2\n", Duration::from_secs(10))?;
    store.etcdctl(&["put", "a", "watched"])?;
    watching.wait_for_log("PUT\na\n2\na\nwatched\n", Duration::from_secs(10))
}

pub fn killing_one_of_three() -> Result<()> {
    let mut store = Members::start(3, 23700)?;
    for number in 0..30 {
        store.etcdctl(&["put", &format!("before/{number}"), "x"])?;
    }
    let victim = leader(&store)?;
    store.processes[victim].kill_nine()?;
    let rest: Vec<&str> = store
        .endpoints
        .split(',')
        .enumerate()
        .filter(|(number, _)| *number != victim)
        .map(|(_, endpoint)| endpoint)
        .collect();
    let rest = rest.join(",");
    eventually("writes go on", Duration::from_secs(10), || etcdctl(&rest, &["put", "after", "y"]))?;
    let kept = etcdctl(&rest, &["get", "before/", "--prefix", "--limit=1", "--write-out=fields"])?;
    ensure!(kept.contains("\"Count\" : 30"), "acknowledged before the kill: {kept}");
    Ok(())
}

fn leader(store: &Members) -> Result<usize> {
    let status = store.etcdctl(&["endpoint", "status"])?;
    match status.lines().position(|line| line.contains(", true, ")) {
        Some(number) => Ok(number),
        None => bail!("no leader:\n{status}"),
    }
}

/// The store inside `balsa up`, read by the stock etcdctl with a client certificate.
pub fn etcdctl_reads_the_registry(cluster: &mut Cluster) -> Result<()> {
    let pki = cluster.data_dir().join("pki");
    let output =
        registry_command(cluster, &pki, &["get", "/registry/namespaces/", "--prefix", "--keys-only"])
            .output();
    let keys = expect_success("etcdctl get", &output.context("run etcdctl")?)?;
    ensure!(
        keys.contains("/registry/namespaces/default") && keys.contains("/registry/namespaces/kube-system"),
        "{keys}"
    );
    let log = cluster.scratch().join("registry-watch.out");
    let mut watching = Process::start(
        &mut registry_command(
            cluster,
            &pki,
            &["watch", "/registry/configmaps/default/", "--prefix", "--rev=1"],
        ),
        &log,
    )?;
    cluster.kubectl_ok(&["create", "configmap", "watched", "--from-literal=a=b"])?;
    watching.wait_for_log("/registry/configmaps/default/watched", Duration::from_secs(10))?;
    cluster.kubectl_ok(&["delete", "configmap", "watched"])?;
    watching.wait_for_log("DELETE\n/registry/configmaps/default/watched", Duration::from_secs(10))
}

fn registry_command(cluster: &Cluster, pki: &Path, arguments: &[&str]) -> Command {
    let mut command = cluster.host().command("etcdctl");
    command.env("ETCDCTL_API", "3").arg("--endpoints=https://127.0.0.1:2379");
    command.arg("--cacert").arg(pki.join("etcd").join("ca.crt"));
    command
        .arg("--cert")
        .arg(pki.join("apiserver-etcd-client.crt"))
        .arg("--key")
        .arg(pki.join("apiserver-etcd-client.key"));
    command.args(arguments);
    command
}
