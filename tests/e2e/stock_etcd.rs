//! Our apiserver on a stock etcd: it is only a client of the wire.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::cluster::expect_success;
use balsa_chaos_tests::lab::{Cluster, Process, eventually};

pub fn apiserver_on_stock_etcd() -> Result<()> {
    let mut cluster = Cluster::prepare(&["--etcd-servers=http://127.0.0.1:12379"])?;
    let mut etcd = cluster.host().command("etcd");
    etcd.arg("--data-dir").arg(cluster.scratch().join("stock-etcd")).args([
        "--listen-client-urls=http://127.0.0.1:12379",
        "--advertise-client-urls=http://127.0.0.1:12379",
        "--listen-peer-urls=http://127.0.0.1:12380",
    ]);
    let etcd =
        Process::start(&mut etcd, &cluster.scratch().join("etcd.log")).context("package etcd-server")?;
    let health = ["--endpoints=http://127.0.0.1:12379", "endpoint", "health"];
    eventually("the stock etcd serves", Duration::from_secs(20), || {
        let output = cluster.host().command("etcdctl").args(health).env("ETCDCTL_API", "3").output();
        expect_success("etcdctl endpoint health", &output.context("run etcdctl (package etcd-client)")?)
    })
    .with_context(|| etcd.log_tail(20))?;

    cluster.resume()?;
    super::hello::runs_and_answers(&mut cluster)?;
    super::verbs::kubectl_verbs(&mut cluster)?;
    let keys = cluster
        .host()
        .command("etcdctl")
        .env("ETCDCTL_API", "3")
        .args([
            "--endpoints=http://127.0.0.1:12379",
            "get",
            "--prefix",
            "--keys-only",
            "/registry/namespaces/",
        ])
        .output();
    let keys = expect_success("etcdctl get", &keys.context("run etcdctl")?)?;
    ensure!(keys.contains("/registry/namespaces/default"), "the stock etcd holds the objects:\n{keys}");
    // The cluster goes before its store.
    drop(cluster);
    drop(etcd);
    Ok(())
}
