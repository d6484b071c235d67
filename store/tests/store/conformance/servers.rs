//! The two servers under test, each with one member, on free loopback ports, in a temporary folder.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Our store, in this process.
pub struct Ours {
    pub endpoint: String,
    task: JoinHandle<Result<(), balsa_store::StartError>>,
    shutdown: CancellationToken,
    dir: TempDir,
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: balsa_store::Args,
}

impl Ours {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let flags = flags(&dir);
        let endpoint = flags.endpoint.clone();
        let cli = Cli::parse_from(std::iter::once("balsa".to_owned()).chain(flags.words));
        let config = cli.args.into_config().expect("the flags are valid");
        let (ready, serving) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(balsa_store::run(config, ready, shutdown.clone()));
        if serving.await.is_err() {
            panic!("the store does not start: {:?}", task.await);
        }
        Self { endpoint, task, shutdown, dir }
    }

    pub fn data_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("does not panic").expect("stops cleanly");
    }
}

/// Debian's etcd, as a child process.
pub struct Stock {
    pub endpoint: String,
    child: Child,
    _dir: TempDir,
}

impl Stock {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let flags = flags(&dir);
        let spawned = Command::new("/usr/bin/etcd")
            .args(&flags.words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = spawned.unwrap_or_else(|error| {
            panic!("the stock server /usr/bin/etcd does not start ({error}); the package etcd-server has it")
        });
        let server = Self { endpoint: flags.endpoint, child, _dir: dir };
        server.wait_until_serving().await;
        server
    }

    async fn wait_until_serving(&self) {
        let started = Instant::now();
        while !super::run::serves(&self.endpoint).await {
            assert!(started.elapsed() < Duration::from_secs(60), "the stock server does not serve");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Flags {
    endpoint: String,
    words: Vec<String>,
}

/// The same for both: that is half of the test.
fn flags(dir: &TempDir) -> Flags {
    let (client, peer) =
        (format!("http://127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
    let words = [
        ("--name", "default".to_owned()),
        ("--data-dir", dir.path().join("data").display().to_string()),
        ("--listen-client-urls", client.clone()),
        ("--advertise-client-urls", client.clone()),
        ("--listen-peer-urls", peer.clone()),
        ("--initial-advertise-peer-urls", peer.clone()),
        ("--initial-cluster", format!("default={peer}")),
    ];
    Flags {
        endpoint: client,
        words: words.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect(),
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
