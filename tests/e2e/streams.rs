//! Streams through the API server and the node: port-forward, attach, cp, exec's exit code, debug.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use balsa_chaos_tests::lab::{Cluster, Process};

use super::clients::http_get;
use super::hello::RUNNING;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/manifests/streams.yaml");

pub fn streams_reach_containers(cluster: &mut Cluster) -> Result<()> {
    cluster.kubectl_ok(&["apply", "-f", MANIFEST])?;
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod/web", "pod/echo", "--timeout=60s"])?;
    port_forward(cluster, "pod/web", "forwarded\n")?;
    attach(cluster)?;
    copy(cluster)?;
    exit_codes_and_refusals(cluster)?;
    debug(cluster)?;
    cluster.kubectl_ok(&["delete", "-f", MANIFEST, "--now", "--timeout=60s"]).map(drop)
}

/// Several connections over one tunnel to a web server on port 8080, whose answer has `wanted` in it.
pub fn port_forward(cluster: &Cluster, target: &str, wanted: &str) -> Result<()> {
    let log = cluster.scratch().join(format!("forward-{}.log", target.replace('/', "-")));
    let mut tunnel = Process::start(&mut cluster.kubectl(&["port-forward", target, ":8080"]), &log)?;
    tunnel.wait_for_log("Forwarding from 127.0.0.1:", RUNNING)?;
    let printed = tunnel.log();
    let port = printed.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next());
    let url = format!("http://127.0.0.1:{}/", port.context("kubectl tells the port")?);
    for _ in 0..3 {
        let body = http_get(cluster, &url)?;
        ensure!(
            body.contains(wanted),
            "through the tunnel came {body:?}; kubectl printed:\n{}",
            tunnel.log()
        );
    }
    Ok(())
}

/// Lines that go in come back; output from before the attachment does not, so the line is repeated until it does.
fn attach(cluster: &Cluster) -> Result<()> {
    let mut child = cluster
        .kubectl(&["attach", "-i", "echo"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("start kubectl attach")?;
    let mut input = child.stdin.take().context("its input")?;
    let output = BufReader::new(child.stdout.take().context("its output")?);
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let deadline = Instant::now() + RUNNING;
    let result = loop {
        input.write_all(b"hello\n").context("write to kubectl attach")?;
        match heard.recv_timeout(Duration::from_secs(1)) {
            Ok(line) if line == "heard hello" => break Ok(()),
            Ok(line) => break Err(anyhow::anyhow!("kubectl attach printed {line:?}")),
            Err(_) if Instant::now() > deadline => {
                break Err(anyhow::anyhow!("kubectl attach printed nothing"));
            }
            Err(_) => {}
        }
    };
    // It would stay as long as its container.
    child.kill().context("end kubectl attach")?;
    child.wait().context("reap kubectl attach")?;
    result
}

fn copy(cluster: &Cluster) -> Result<()> {
    let (there, back) = (cluster.scratch().join("there"), cluster.scratch().join("back"));
    // Longer than one frame, and no two lines alike.
    let content: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
    std::fs::write(&there, &content).context("write the file")?;
    cluster.kubectl_ok(&["cp", &there.display().to_string(), "web:/tmp/copied"])?;
    cluster.kubectl_ok(&["cp", "web:/tmp/copied", &back.display().to_string()])?;
    let returned = std::fs::read_to_string(&back).context("read what came back")?;
    ensure!(returned == content, "{} bytes went, {} came back", content.len(), returned.len());
    Ok(())
}

fn exit_codes_and_refusals(cluster: &Cluster) -> Result<()> {
    let status =
        cluster.kubectl(&["exec", "web", "--", "sh", "-c", "exit 7"]).output().context("run kubectl")?.status;
    ensure!(status.code() == Some(7), "kubectl exec ended with {status}, the command with 7");
    let reason =
        ["get", "pod", "crashes", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}"];
    cluster.kubectl_until("the crash loop waits", RUNNING, &reason, |reason| reason == "CrashLoopBackOff")?;
    let refused = cluster.kubectl_fails(&["exec", "crashes", "--", "true"])?;
    ensure!(
        refused.contains("unable to upgrade connection: container not found (\"main\")"),
        "exec into a container that does not run: {refused}"
    );
    let refused = cluster.kubectl_fails(&["exec", "web", "--", "no-such-command"])?;
    if !refused.contains("no-such-command") {
        bail!("exec of a command that is not there: {refused}");
    }
    Ok(())
}

/// A debugging container sees the processes of its target, keeps its status, and ends without being restarted.
fn debug(cluster: &Cluster) -> Result<()> {
    let image = "--image=balsa.local/busybox:1";
    cluster.kubectl_ok(&[
        "debug",
        "web",
        image,
        "--target=web",
        "-c",
        "looker",
        "--",
        "cat",
        "/proc/1/cmdline",
    ])?;
    let template = "jsonpath={.status.ephemeralContainerStatuses[0].name} {.status.ephemeralContainerStatuses[0].state.terminated.reason} {.status.ephemeralContainerStatuses[0].restartCount}";
    let asked = ["get", "pod", "web", "-o", template];
    cluster.kubectl_until("the debugging container ends", RUNNING, &asked, |output| {
        output == "looker Completed 0"
    })?;
    let seen = cluster.kubectl_ok(&["logs", "web", "-c", "looker"])?;
    ensure!(seen.starts_with("httpd\0-f"), "process 1 of the target is {seen:?}");
    let meanwhile = cluster.kubectl_ok(&[
        "get",
        "pod",
        "web",
        "-o",
        "jsonpath={.status.phase} {.status.containerStatuses[0].ready}",
    ])?;
    ensure!(meanwhile == "Running true", "the pod meanwhile: {meanwhile}");
    Ok(())
}
