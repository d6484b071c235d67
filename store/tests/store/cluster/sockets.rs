//! Members that talk over sockets in the file system, and clients that come over them.

use std::collections::BTreeMap;
use std::path::Path;

use balsa_store::config::{Address, Url};

use crate::harness::Cluster;

fn socket(dir: &Path, name: &str) -> Url {
    Url { tls: false, address: Address::Socket(dir.join(name)) }
}

#[test]
fn sockets_carry_peers_and_clients() {
    let dir = tempfile::tempdir().unwrap();
    let peer = |name: &str| socket(dir.path(), &format!("{name}.peer"));
    let mut cluster = Cluster::start(2, |config| {
        config.listen_peer_urls = vec![peer(&config.name)];
        config.initial_advertise_peer_urls = config.listen_peer_urls.clone();
        let names = config.initial_cluster.keys();
        let members: BTreeMap<_, _> = names.map(|name| (name.clone(), vec![peer(name)])).collect();
        config.initial_cluster = members;
        config.listen_client_urls.push(socket(dir.path(), &format!("{}.client", config.name)));
    });
    cluster.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        assert_eq!(cluster.get(1, "a", false).await.unwrap().as_deref(), Some("1"));
    });
    // It leaves its sockets behind, and finds them again.
    cluster.kill(1);
    cluster.restart(1);
    for program in ["etcdctl", env!("CARGO_BIN_EXE_balsactl")] {
        let endpoint = format!("unix://{}", dir.path().join("m1.client").display());
        let output = std::process::Command::new(program)
            .args(["--endpoints", &endpoint, "get", "a"])
            .env("ETCDCTL_API", "3")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a\n1\n", "{program}: {output:?}");
    }
}
