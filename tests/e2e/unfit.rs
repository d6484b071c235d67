//! `balsa up` on a host that lacks something: one sentence that names it, and nothing left running.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::{Cluster, Host, binary};

/// What is done to the host before the start (a shell line in a mount namespace of its own), and what is then said.
const UNFIT: [(&str, &str); 6] = [
    (
        "mount --bind /dev/null \"$(command -v nft)\"",
        "the command nft is missing: install the package nftables",
    ),
    (
        "mount --bind /dev/null \"$(command -v containerd)\"",
        "the command containerd is missing: install the package containerd",
    ),
    (
        "mount --bind /dev/null \"$(command -v runc)\"",
        "the command runc is missing: install the package runc",
    ),
    (
        "mount --bind /dev/null \"$(command -v conntrack)\"",
        "the command conntrack is missing: install the package conntrack",
    ),
    ("mount -t tmpfs none /usr/lib/cni", "the CNI plugin bridge is in neither /usr/lib/cni nor /opt/cni/bin"),
    ("mount -t tmpfs none /sys/fs/cgroup", "no cgroups are mounted at /sys/fs/cgroup"),
];

pub fn unfit_hosts_are_told() -> Result<()> {
    let host = Host::create()?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let data_dir = folder.path().join("data").display().to_string();
    let up = binary("balsa")?.display().to_string();
    for (damage, sentence) in UNFIT {
        let script = format!("{damage} && exec \"$0\" up --data-dir \"$1\"");
        refuses(host.command("unshare").args(["-m", "sh", "-c", &script, &up, &data_dir]), sentence)?;
    }
    let nobody = ["--reuid", "65534", "--clear-groups", &up, "up", "--data-dir", &data_dir];
    refuses(host.command("setpriv").args(nobody), "needs root: run it with sudo")?;
    std::fs::write(folder.path().join("data/node-name"), "elsewhere\n").context("write the owner's name")?;
    let named = ["up", "--data-dir", &data_dir, "--node-name", "here"];
    refuses(host.command(&up).args(named), "belongs to the node elsewhere, not to here")?;
    let long = format!("/tmp/{}", "x".repeat(80));
    refuses(
        host.command(&up).args(["up", "--data-dir", &long]),
        "is too long: the sockets below it would not fit",
    )
}

/// Beside a cluster that runs.
pub fn second_start_is_told(cluster: &mut Cluster) -> Result<()> {
    let up = binary("balsa")?;
    let own = cluster.data_dir().display().to_string();
    let again = ["up", "--node-name", "node-1", "--data-dir", &own];
    refuses(cluster.host().command(&up).args(again), "another balsa up runs with --data-dir")?;
    let other = cluster.scratch().join("second").display().to_string();
    refuses(
        cluster.host().command(&up).args(["up", "--data-dir", &other]),
        "port 6443 for the API server cannot be used",
    )
}

fn refuses(command: &mut Command, sentence: &str) -> Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "it started, and should have said {sentence:?}");
    ensure!(said.starts_with("balsa: ") && said.contains(sentence), "not {sentence:?} but:\n{said}");
    ensure!(said.lines().count() == 1, "more than one sentence:\n{said}");
    Ok(())
}
