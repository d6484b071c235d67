//! What a second start, a changed name and a broken file do to the certificate directory.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Pki, PkiOptions};

fn options(extra: &[&str]) -> PkiOptions {
    PkiOptions {
        host_name: "Node-1".into(),
        advertise_address: IpAddr::V4(Ipv4Addr::new(192, 168, 7, 9)),
        service_address: IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1)),
        cluster_domain: "cluster.local".into(),
        extra_sans: extra.iter().map(|san| (*san).to_owned()).collect(),
    }
}

fn failure(directory: &Path) -> String {
    match Pki::ensure(directory, &options(&[])) {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string().replace(&directory.display().to_string(), "DIR"),
    }
}

#[test]
fn second_start_reuses_every_file() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let first = Pki::ensure(directory.path(), &options(&[])).expect("first start");
    let client = first.ensure_client("admin", "kubernetes-admin", &["system:masters"]).expect("client");
    let second = Pki::ensure(directory.path(), &options(&[])).expect("second start");
    assert_eq!(first.ca_pem(), second.ca_pem());
    assert_eq!(first.serving().cert_pem, second.serving().cert_pem);
    assert_eq!(first.token_key().private_pem, second.token_key().private_pem);
    let again = second.ensure_client("admin", "kubernetes-admin", &["system:masters"]).expect("client");
    assert_eq!(client.cert_pem, again.cert_pem);
}

#[test]
fn serving_certificate_is_reissued_for_a_new_name_and_a_new_ca() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let first = Pki::ensure(directory.path(), &options(&[])).expect("first start");
    let wider = Pki::ensure(directory.path(), &options(&["api.example.test"])).expect("more names");
    assert_ne!(first.serving().cert_pem, wider.serving().cert_pem);
    assert_eq!(first.ca_pem(), wider.ca_pem());
    fs::remove_file(directory.path().join("ca.crt")).expect("remove");
    fs::remove_file(directory.path().join("ca.key")).expect("remove");
    let other_ca = Pki::ensure(directory.path(), &options(&["api.example.test"])).expect("new CA");
    assert_ne!(wider.serving().cert_pem, other_ca.serving().cert_pem);
}

#[test]
fn private_keys_are_private() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let pki = Pki::ensure(directory.path(), &options(&[])).expect("start");
    pki.ensure_store("m1", &["localhost".to_owned()]).expect("store certificates");
    let admin = pki.issue_client("kubernetes-admin", &["system:masters"]).expect("client");
    pki.write_kubeconfig(&directory.path().join("admin.conf"), "https://127.0.0.1:6443", "admin", &admin)
        .expect("kubeconfig");
    for name in ["ca.key", "apiserver.key", "sa.key", "etcd/ca.key", "etcd/peer.key", "admin.conf"] {
        let mode = fs::metadata(directory.path().join(name)).expect(name).permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn broken_files_are_named_in_one_sentence() {
    let directory = tempfile::tempdir().expect("temporary directory");
    Pki::ensure(directory.path(), &options(&[])).expect("start");
    let path = |name: &str| directory.path().join(name);
    let key = fs::read(path("ca.key")).expect("ca.key");

    fs::write(path("ca.key"), "garbage").expect("write");
    assert_eq!(
        failure(directory.path()),
        "DIR/ca.key is not a readable private key: restore it from a backup, or remove it together with its pair"
    );
    fs::remove_file(path("ca.key")).expect("remove");
    assert_eq!(
        failure(directory.path()),
        "DIR/ca.key is missing but DIR/ca.crt exists: restore it, or remove both to start with a new one"
    );
    fs::copy(path("apiserver.key"), path("ca.key")).expect("copy");
    assert_eq!(failure(directory.path()), "DIR/ca.key does not belong to DIR/ca.crt");
    fs::write(path("ca.key"), key).expect("write");
    fs::write(path("apiserver.crt"), "garbage").expect("write");
    assert_eq!(failure(directory.path()), "no error", "a broken leaf is reissued");
}

#[test]
fn kubeconfig_is_yaml_with_embedded_data() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let pki = Pki::ensure(directory.path(), &options(&[])).expect("start");
    let client = pki.issue_client("system:node:a", &["system:nodes"]).expect("client");
    let path = directory.path().join("kubelet.conf");
    pki.write_kubeconfig(&path, "https://10.0.0.1:6443", "system:node:a", &client).expect("write");
    let text = fs::read_to_string(path).expect("read");
    let value: serde_json::Value = serde_saphyr::from_str(&text).expect("yaml");
    assert_eq!(value["clusters"][0]["cluster"]["server"], "https://10.0.0.1:6443");
    assert_eq!(value["current-context"], "system:node:a@balsa");
    assert_eq!(value["users"][0]["name"], "system:node:a");
}
