//! Static pods: a manifest in a folder becomes a pod and a mirror; edits replace it, deletion of the mirror does not.

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::Cluster;

use super::hello::RUNNING;

pub fn manifests_become_pods(cluster: &mut Cluster) -> Result<()> {
    let manifest = cluster.data_dir().join("manifests/still.yaml");
    let write = |word: &str| std::fs::write(&manifest, pod(word)).context("write the manifest");
    write("one")?;
    let log = |word: &'static str| {
        let asked = ["logs", "still-node-1", "--ignore-errors"];
        cluster.kubectl_until(&format!("the pod says {word}"), RUNNING, &asked, |log| log.trim() == word)
    };
    shows(cluster, "Running Node node-1")?;
    log("one")?;
    let uid = || cluster.kubectl_ok(&["get", "pod", "still-node-1", "-o", "jsonpath={.metadata.uid}"]);
    let container = || {
        cluster.kubectl_ok(&[
            "get",
            "pod",
            "still-node-1",
            "-o",
            "jsonpath={.status.containerStatuses[0].containerID}",
        ])
    };

    // The mirror only shows the pod.
    let (mirror, before) = (uid()?, container()?);
    cluster.kubectl_ok(&["delete", "pod", "still-node-1", "--wait=false"])?;
    let asked = [
        "get",
        "pods",
        "-l",
        "kind=static",
        "-o",
        "jsonpath={.items[*].metadata.uid} {.items[*].status.phase}",
    ];
    cluster.kubectl_until("a new mirror", RUNNING, &asked, |output| {
        output.split_once(' ').is_some_and(|(uid, phase)| uid != mirror && phase == "Running")
    })?;
    ensure!(container()? == before, "deleting the mirror touched the container");

    // An edit makes another pod of the same name.
    write("two")?;
    log("two")?;
    shows(cluster, "Running Node node-1")?;

    std::fs::remove_file(&manifest).context("remove the manifest")?;
    let asked = ["get", "pods", "-l", "kind=static", "-o", "name"];
    cluster.kubectl_until("the pod goes with its manifest", RUNNING, &asked, str::is_empty).map(drop)
}

fn pod(word: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: still, labels: {{kind: static}}}}, spec: {{terminationGracePeriodSeconds: 0, \
         containers: [{{name: main, image: 'balsa.local/busybox:1', command: [sh, -c, 'echo {word}; sleep 1000']}}]}}}}"
    )
}

fn shows(cluster: &Cluster, wanted: &str) -> Result<()> {
    let template = "jsonpath={.items[*].status.phase} {.items[*].metadata.ownerReferences[0].kind} {.items[*].spec.nodeName}";
    let asked = ["get", "pods", "-l", "kind=static", "-o", template];
    cluster.kubectl_until("the mirror shows the pod", RUNNING, &asked, |output| output == wanted).map(drop)
}
