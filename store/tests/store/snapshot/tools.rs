//! The command line tools and the stock server, as child processes.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use balsa_store::Config;
use balsa_store::config::join;
use tempfile::TempDir;

use crate::harness::free_port;

/// Its stdout. Fails with what it says if it fails.
pub fn etcdctl(args: &[&str]) -> String {
    succeeded(Command::new("etcdctl").env("ETCDCTL_API", "3").args(args))
}

pub fn balsactl(args: &[&str]) -> String {
    succeeded(Command::new(env!("CARGO_BIN_EXE_balsactl")).args(args))
}

/// Its stderr.
pub fn balsactl_fails(args: &[&str]) -> String {
    let output = run(Command::new(env!("CARGO_BIN_EXE_balsactl")).args(args));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Makes the data directory that a member of a cluster starts from.
pub fn restore(config: &Config, file: &Path, flags: &[&str]) {
    let cluster: Vec<String> = config
        .initial_cluster
        .iter()
        .flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")))
        .collect();
    let args = [
        "snapshot",
        "restore",
        file.to_str().unwrap(),
        "--data-dir",
        config.data_dir.to_str().unwrap(),
        "--name",
        &config.name,
        "--initial-cluster",
        &cluster.join(","),
        "--initial-cluster-token",
        &config.initial_cluster_token,
        "--initial-advertise-peer-urls",
        &join(&config.initial_advertise_peer_urls),
    ];
    balsactl(&[&args[..], flags].concat());
}

fn succeeded(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn run(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command
        .output()
        .unwrap_or_else(|error| panic!("{program:?} does not start ({error}); etcd-client has etcdctl"))
}

/// Debian's etcd.
pub struct Stock {
    pub endpoint: String,
    child: Child,
    _dir: TempDir,
}

impl Stock {
    pub fn fresh() -> Stock {
        Self::start(|_, _| {})
    }

    /// From a snapshot file, by its own tool.
    pub fn restored(file: &Path) -> Stock {
        Self::start(|data_dir, peer| {
            let cluster = format!("default={peer}");
            etcdctl(&[
                "snapshot",
                "restore",
                file.to_str().unwrap(),
                "--data-dir",
                data_dir.to_str().unwrap(),
                "--initial-cluster",
                &cluster,
                "--initial-advertise-peer-urls",
                peer,
            ]);
        })
    }

    fn start(prepare: impl FnOnce(&Path, &str)) -> Stock {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let [client, peer] = [(); 2].map(|()| format!("http://127.0.0.1:{}", free_port()));
        prepare(&data_dir, &peer);
        let child = Command::new("/usr/bin/etcd")
            .args(["--data-dir", data_dir.to_str().unwrap()])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("/usr/bin/etcd does not start ({error}); etcd-server has it"));
        Stock { endpoint: client, child, _dir: dir }
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
