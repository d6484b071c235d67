//! What containers see (environment, volumes, identity) and what becomes of them (order, endings, waiting): one manifest,
//! applied at once, looked at pod by pod.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::Cluster;

use super::hello::RUNNING;

const MANIFEST: &str = include_str!("manifests/pods.yaml");

pub fn containers_get_what_their_pods_say(cluster: &mut Cluster) -> Result<()> {
    let path = cluster.scratch().join("pods.yaml");
    let scratch = cluster.scratch().display().to_string();
    std::fs::write(&path, MANIFEST.replace("@SCRATCH@", &scratch)).context("write the manifest")?;
    let path = path.display().to_string();
    cluster.kubectl_ok(&["apply", "-f", &path])?;
    environment(cluster)?;
    volumes(cluster)?;
    volumes_follow_their_sources(cluster)?;
    containers_start_and_end_in_order(cluster)?;
    endings_are_told(cluster)?;
    identity(cluster)?;
    waiting_is_explained(cluster)?;
    cluster.kubectl_ok(&["delete", "-f", &path, "--now", "--timeout=60s"])?;
    cluster.kubectl_ok(&["delete", "configmap", "later"]).map(drop)
}

/// The log of a pod that has run to its end.
fn said(cluster: &Cluster, pod: &str) -> Result<String> {
    let phase = ["get", "pod", pod, "-o", "jsonpath={.status.phase}"];
    cluster.kubectl_until(&format!("{pod} ends"), RUNNING, &phase, |phase| phase == "Succeeded")?;
    cluster.kubectl_ok(&["logs", pod])
}

fn has_lines(what: &str, text: &str, wanted: &[&str]) -> Result<()> {
    for line in wanted {
        ensure!(text.lines().any(|have| have == *line), "{what}: no line {line:?} in:\n{text}");
    }
    Ok(())
}

fn environment(cluster: &Cluster) -> Result<()> {
    let said = said(cluster, "environment")?;
    let wanted = "T_ACCOUNT=default\nT_ARGS red $(T_COLOR)\nT_BOTH=red-s3cret-$(UNKNOWN)\nT_CM_SIZE=big\nT_CM_color=red\n\
                  T_COLOR=red\nT_CPU=100\nT_CPUS=1\nT_HOST=10.213.0.2\nT_MEMORY=64\nT_NAME=environment\nT_NODE=node-1\n\
                  T_NOTE=a note\nT_PASSWORD=s3cret\nT_SEC_password=s3cret\nT_TIER=back";
    has_lines("environment", &said, &wanted.lines().collect::<Vec<_>>())?;
    ensure!(!said.contains("T_ABSENT"), "an optional key that is not there leaves the variable out:\n{said}");
    Ok(())
}

fn volumes(cluster: &Cluster) -> Result<()> {
    let said = said(cluster, "volumes")?;
    let wanted =
        ["500", "tier=\"back\"", "440 token", "440 ca.crt", "400 password", "440 name", "volumes", "red"];
    has_lines("volumes", &said, &wanted)?;
    has_lines(
        "memory volume, one kind of file system for secrets, subPath",
        &said,
        &["1", "tmpfs", "x", "one"],
    )?;
    ensure!(!said.contains("can be written"), "the agent writes these volumes, nobody else:\n{said}");
    let host =
        std::fs::read_to_string(cluster.scratch().join("host/file")).context("read the host's file")?;
    ensure!(host == "from-the-container\n", "hostPath holds {host:?}");
    Ok(())
}

fn volumes_follow_their_sources(cluster: &Cluster) -> Result<()> {
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod/live", "--timeout=60s"])?;
    let color = ["exec", "live", "--", "cat", "/settings/color"];
    ensure!(cluster.kubectl_ok(&color)? == "red", "before the change");
    cluster.kubectl_ok(&["patch", "configmap", "settings", "-p", "{\"data\":{\"color\":\"blue\"}}"])?;
    cluster.kubectl_until("the file follows its ConfigMap", RUNNING, &color, |color| color == "blue")?;
    cluster.kubectl_ok(&["label", "pod", "live", "tier=front", "--overwrite"])?;
    let labels = ["exec", "live", "--", "cat", "/labels/labels"];
    cluster.kubectl_until("the file follows the label", RUNNING, &labels, |text| text == "tier=\"front\"")?;
    Ok(())
}

fn containers_start_and_end_in_order(cluster: &Cluster) -> Result<()> {
    said(cluster, "order")?;
    let path = cluster.scratch().join("order/log");
    let wanted = "first\nbeside\nsecond\nmain\nbeside-ends\n";
    let log = std::fs::read_to_string(Path::new(&path)).context("read the log of the order")?;
    ensure!(log == wanted, "containers came and went as\n{log}instead of\n{wanted}");
    Ok(())
}

fn endings_are_told(cluster: &Cluster) -> Result<()> {
    let phase = ["get", "pod", "ends", "-o", "jsonpath={.status.phase}"];
    cluster.kubectl_until("the pod fails", RUNNING, &phase, |phase| phase == "Failed")?;
    let template = "jsonpath={range .status.containerStatuses[*]}{.name} {.state.terminated.exitCode} {.state.terminated.reason} {.state.terminated.message}{\";\"}{end}";
    let told = cluster.kubectl_ok(&["get", "pod", "ends", "-o", template])?;
    for ending in [
        "custom 3 Error in a file\n;",
        "last-words 4 Error last words\n;",
        "memory 137 OOMKilled ;",
        "well 0 Completed ;",
    ] {
        ensure!(told.contains(ending), "no {ending:?} in {told:?}");
    }
    Ok(())
}

fn identity(cluster: &Cluster) -> Result<()> {
    let said = said(cluster, "confined")?;
    let wanted = [
        "uid=1000 gid=2000 groups=2000,3000,4000",
        "1000 3000",
        "touch: /f: Read-only file system",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ];
    has_lines("securityContext", &said, &wanted)
}

/// Each waits with a reason, and goes on when what it lacked is there.
fn waiting_is_explained(cluster: &Cluster) -> Result<()> {
    let waiting = |pod: &'static str| {
        [
            "get",
            "pod",
            pod,
            "-o",
            "jsonpath={.status.containerStatuses[0].state.waiting.reason} {.status.containerStatuses[0].state.waiting.message}",
        ]
    };
    let refused = |pod: &'static str, text: &str| {
        cluster
            .kubectl_until(&format!("{pod} waits"), RUNNING, &waiting(pod), |output| output.contains(text))
            .map(drop)
    };
    refused("as-root", "CreateContainerConfigError container has runAsNonRoot and image will run as root")?;
    refused("waits-for-a-map", "CreateContainerConfigError configmap \"later\" not found")?;
    let event = |pod: &'static str, text: &'static str| {
        let asked = [
            "get",
            "events",
            "--field-selector",
            &format!("involvedObject.name={pod}"),
            "-o",
            "jsonpath={.items[*].message}",
        ]
        .map(str::to_owned);
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        cluster
            .kubectl_until(&format!("an event of {pod}"), RUNNING, &asked, |output| output.contains(text))
            .map(drop)
    };
    event("waits-for-a-folder", "hostPath type check failed")?;
    event(
        "own-users",
        "can't set `spec.hostUsers: false`, this node agent does not support user namespaces",
    )?;
    cluster.kubectl_ok(&["create", "configmap", "later", "--from-literal=a=b"])?;
    std::fs::create_dir(cluster.scratch().join("absent")).context("make the folder")?;
    cluster
        .kubectl_ok(&[
            "wait",
            "--for=condition=Ready",
            "pod/waits-for-a-map",
            "pod/waits-for-a-folder",
            "--timeout=60s",
        ])
        .map(drop)
}
