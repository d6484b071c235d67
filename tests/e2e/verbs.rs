//! The everyday verbs of kubectl on the hello example, with the output a user of a stock cluster sees.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::Cluster;

use super::hello::{EXAMPLE, RUNNING, first_pod};

/// A verb's arguments, and texts that its output must have.
struct Row(&'static [&'static str], &'static [&'static str]);

const ROWS: &[Row] = &[
    Row(
        &["get", "pods", "-o", "wide"],
        &["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "1/1     Running", "node-1"],
    ),
    Row(
        &["get", "deployments"],
        &["NAME    READY   UP-TO-DATE   AVAILABLE   AGE", "hello   3/3     3            3"],
    ),
    Row(&["get", "service", "hello"], &["NodePort", "80:30080/TCP"]),
    Row(&["get", "nodes"], &["node-1   Ready"]),
    Row(
        &["get", "deployment", "hello", "-o", "yaml"],
        &["apiVersion: apps/v1", "kind: Deployment", "readyReplicas: 3", "revisionHistoryLimit: 10"],
    ),
    Row(
        &["get", "all"],
        &[
            "pod/hello-",
            "service/hello",
            "service/kubernetes",
            "deployment.apps/hello",
            "replicaset.apps/hello-",
        ],
    ),
    Row(
        &["describe", "deployment", "hello"],
        &[
            "StrategyType:           RollingUpdate",
            "3 desired | 3 updated | 3 total | 3 available | 0 unavailable",
            "ScalingReplicaSet",
        ],
    ),
    Row(
        &["describe", "pods", "-l", "app=hello"],
        &["Successfully assigned default/hello-", "Container started", "Ready             True"],
    ),
    Row(&["describe", "service", "hello"], &["NodePort:                 http  30080/TCP", "Endpoints:"]),
    Row(&["describe", "node", "node-1"], &["Kubelet", "Allocated resources", "PodCIDR:"]),
    Row(
        &["explain", "deployment.spec.strategy"],
        &["GROUP:      apps", "KIND:       Deployment", "rollingUpdate"],
    ),
    Row(
        &["api-resources"],
        &["deployments                         deploy", "apps/v1", "configmaps                          cm"],
    ),
    Row(&["api-versions"], &["apps/v1", "rbac.authorization.k8s.io/v1"]),
    Row(&["auth", "can-i", "create", "deployments"], &["yes"]),
    Row(&["auth", "whoami"], &["kubernetes-admin", "system:masters"]),
    Row(&["version"], &["Server Version: v1.36"]),
    Row(&["cluster-info"], &["is running at"]),
    Row(&["label", "deployment", "hello", "tier=front"], &["deployment.apps/hello labeled"]),
    Row(&["get", "deployment", "-l", "tier=front"], &["hello"]),
    Row(&["annotate", "deployment", "hello", "note=x"], &["deployment.apps/hello annotated"]),
    Row(&["scale", "deployment", "hello", "--replicas=2"], &["deployment.apps/hello scaled"]),
    Row(&["rollout", "status", "deployment/hello", "--timeout=60s"], &["successfully rolled out"]),
    Row(
        &["set", "image", "deployment/hello", "web=balsa.local/busybox:1"],
        &["deployment.apps/hello image updated"],
    ),
    Row(&["rollout", "status", "deployment/hello", "--timeout=60s"], &["successfully rolled out"]),
    Row(
        &["rollout", "history", "deployment/hello"],
        &["REVISION  CHANGE-CAUSE", "1         <none>", "2         <none>"],
    ),
    Row(&["rollout", "undo", "deployment/hello"], &["deployment.apps/hello rolled back"]),
    Row(&["rollout", "status", "deployment/hello", "--timeout=60s"], &["successfully rolled out"]),
    Row(
        &["get", "deployment", "hello", "-o", "jsonpath={.spec.template.spec.containers[0].image}"],
        &["balsa.local/busybox:latest"],
    ),
    Row(
        &["wait", "--for=condition=Available", "deployment/hello", "--timeout=30s"],
        &["deployment.apps/hello condition met"],
    ),
    Row(
        &["patch", "deployment", "hello", "-p", "{\"spec\":{\"minReadySeconds\":1}}"],
        &["deployment.apps/hello patched"],
    ),
    Row(
        &["create", "configmap", "made", "--from-literal=a=b", "--dry-run=server", "-o", "name"],
        &["configmap/made"],
    ),
    Row(&["get", "events"], &["LAST SEEN", "Normal", "Scheduled"]),
    Row(&["get", "--raw", "/readyz"], &["ok"]),
];

pub fn kubectl_verbs(cluster: &mut Cluster) -> Result<()> {
    cluster.kubectl_ok(&["apply", "-f", EXAMPLE])?;
    cluster.kubectl_ok(&["rollout", "status", "deployment/hello", "--timeout=60s"])?;
    for Row(arguments, texts) in ROWS {
        let output = cluster.kubectl_ok(arguments)?;
        for text in *texts {
            ensure!(output.contains(text), "kubectl {}: no {text:?} in\n{output}", arguments.join(" "));
        }
    }
    diff_and_apply(cluster)?;
    edit(cluster)?;
    logs(cluster)?;
    exec(cluster)?;
    watch(cluster)?;
    server_side_apply(cluster)?;
    let deleted = cluster.kubectl_ok(&["delete", "-f", EXAMPLE])?;
    ensure!(deleted.contains("deployment.apps \"hello\" deleted"), "kubectl delete printed:\n{deleted}");
    cluster
        .kubectl_until(
            "the pods go",
            RUNNING,
            &["get", "pods", "-l", "app=hello", "-o", "name"],
            str::is_empty,
        )
        .map(drop)
}

/// `diff` ends with 1 and shows the change; `apply` takes it back.
fn diff_and_apply(cluster: &Cluster) -> Result<()> {
    let output = cluster.kubectl(&["diff", "-f", EXAMPLE]).output().context("run kubectl diff")?;
    let shown = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.code() == Some(1)
            && shown.contains("-  replicas: 2")
            && shown.contains("+  replicas: 3"),
        "kubectl diff ended with {} and printed:\n{shown}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let applied = cluster.kubectl_ok(&["apply", "-f", EXAMPLE])?;
    ensure!(applied.contains("deployment.apps/hello configured"), "kubectl apply printed:\n{applied}");
    cluster.kubectl_ok(&["rollout", "status", "deployment/hello", "--timeout=60s"]).map(drop)
}

fn edit(cluster: &Cluster) -> Result<()> {
    let output = cluster
        .kubectl(&["edit", "configmap", "hello"])
        .env("EDITOR", "sed -i s/hello.from.balsa/edited/")
        .output()
        .context("run kubectl edit")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(
        printed.contains("configmap/hello edited"),
        "kubectl edit: {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let greeting = cluster.kubectl_ok(&["get", "configmap", "hello", "-o", "jsonpath={.data.greeting}"])?;
    ensure!(greeting == "edited", "the edit was kept: {greeting}");
    Ok(())
}

/// `logs -f` shows what is there and goes on with what comes.
fn logs(cluster: &Cluster) -> Result<()> {
    let pod = first_pod(cluster)?;
    let whole = cluster.kubectl_ok(&["logs", &pod])?;
    ensure!(whole.contains(&format!("serving {pod}")), "kubectl logs printed:\n{whole}");
    let mut following = cluster
        .kubectl(&["logs", "-f", "--tail=1", &pod])
        .stdout(Stdio::piped())
        .spawn()
        .context("start kubectl logs -f")?;
    let mut lines = BufReader::new(following.stdout.take().context("take its output")?).lines();
    let first = lines.next().context("the last line comes first")?.context("read it")?;
    ensure!(first.starts_with("serving "), "kubectl logs -f began with {first}");
    cluster.kubectl_ok(&["exec", &pod, "--", "sh", "-c", "echo more > /proc/1/fd/1"])?;
    let next = lines.next().context("the new line follows")?.context("read it")?;
    following.kill().context("end kubectl logs")?;
    following.wait().context("reap kubectl logs")?;
    ensure!(next == "more", "kubectl logs -f went on with {next}");
    Ok(())
}

fn exec(cluster: &Cluster) -> Result<()> {
    use std::io::Write as _;
    let pod = first_pod(cluster)?;
    let mut shell = cluster
        .kubectl(&["exec", "-i", &pod, "--", "sh"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start kubectl exec")?;
    shell
        .stdin
        .take()
        .context("take its input")?
        .write_all(b"echo sum $((40 + 2)); exit 7\n")
        .context("type")?;
    let output = shell.wait_with_output().context("read its output")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(printed == "sum 42\n", "kubectl exec -i printed {printed:?}");
    ensure!(output.status.code() == Some(7), "the exit code comes through: {}", output.status);
    // With a terminal: `script` gives kubectl one.
    let terminal = cluster.kubectl(&["exec", "-it", &pod, "--", "sh", "-c", "test -t 0 && echo a terminal"]);
    let line = std::iter::once(terminal.get_program()).chain(terminal.get_args());
    let line = line.map(|part| format!("'{}'", part.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let output = std::process::Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", cluster.scratch())
        .output()
        .context("run kubectl exec -it in a terminal")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(printed.contains("a terminal"), "kubectl exec -it printed {printed:?}");
    Ok(())
}

/// `get -w` shows a change when it happens.
fn watch(cluster: &Cluster) -> Result<()> {
    let mut watching = cluster
        .kubectl(&["get", "configmap", "hello", "-w", "-o", "jsonpath={.data.greeting}{\"\\n\"}"])
        .stdout(Stdio::piped())
        .spawn()
        .context("start kubectl get -w")?;
    let mut lines = BufReader::new(watching.stdout.take().context("take its output")?).lines();
    let now = lines.next().context("the present state comes first")?.context("read it")?;
    cluster.kubectl_ok(&[
        "patch",
        "configmap",
        "hello",
        "--type=merge",
        "-p",
        "{\"data\":{\"greeting\":\"seen\"}}",
    ])?;
    let next = lines.next().context("the change follows")?.context("read it")?;
    watching.kill().context("end kubectl get -w")?;
    watching.wait().context("reap kubectl get -w")?;
    ensure!((now.as_str(), next.as_str()) == ("edited", "seen"), "kubectl get -w printed {now:?}, {next:?}");
    Ok(())
}

fn server_side_apply(cluster: &Cluster) -> Result<()> {
    let applied = cluster.kubectl_ok(&["apply", "--server-side", "--force-conflicts", "-f", EXAMPLE])?;
    ensure!(applied.contains("deployment.apps/hello serverside-applied"), "printed:\n{applied}");
    let owners = cluster.kubectl_ok(&[
        "get",
        "deployment",
        "hello",
        "--show-managed-fields",
        "-o",
        "jsonpath={.metadata.managedFields[?(@.operation==\"Apply\")].manager}",
    ])?;
    ensure!(owners.contains("kubectl"), "field managers: {owners}");
    Ok(())
}
