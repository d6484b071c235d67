//! Peers and clients over TLS: who is let in, and that a renewed certificate needs no restart.

use std::path::{Path, PathBuf};
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::MemberAddRequest;
use balsa_store::Config;
use balsa_store::config::{Address, PemFiles, Url};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::harness::{Cluster, eventually, local_url};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("ca.crt"), issuer.pem()).unwrap();
        Authority { issuer, dir }
    }

    /// For this machine, with this common name. Serial numbers tell certificates of one name apart.
    fn issue(&self, common_name: &str) -> PemFiles {
        self.issue_for(common_name, &["127.0.0.1", "localhost"])
    }

    fn issue_for(&self, common_name: &str, hosts: &[&str]) -> PemFiles {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |name: &str| self.dir.join(format!("{common_name}.{name}"));
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        std::fs::write(file("crt"), certificate.pem()).unwrap();
        PemFiles {
            cert: Some(file("crt")),
            key: Some(file("key")),
            trusted_ca: Some(self.dir.join("ca.crt")),
            require_client_cert: true,
            ..PemFiles::default()
        }
    }

    /// Writes the list of the certificates that count no more.
    fn revoke(&self, list: &Path, serials: &[SerialNumber]) {
        let long_ago = date_time_ymd(2020, 1, 1);
        let revoked = |serial: &SerialNumber| RevokedCertParams {
            serial_number: serial.clone(),
            revocation_time: long_ago,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: long_ago,
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(serials.len() as u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(list, params.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
    }
}

fn with_tls(urls: &mut [Url]) {
    urls.iter_mut().for_each(|url| url.tls = true);
}

fn peers_over_tls(config: &mut Config, files: PemFiles) {
    with_tls(&mut config.listen_peer_urls);
    with_tls(&mut config.initial_advertise_peer_urls);
    config.initial_cluster.values_mut().for_each(|urls| with_tls(urls));
    config.peer_tls = files;
}

#[test]
fn members_talk_over_tls_and_a_stranger_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, foreign) = (Authority::new(dir.path(), "ours"), Authority::new(dir.path(), "foreign"));
    let pair = PemFiles { allowed_cns: vec!["peer".into()], ..ours.issue("peer") };
    let mut cluster = Cluster::start(3, |config| peers_over_tls(config, pair.clone()));
    cluster.block_on(async |cluster| {
        for member in 0..3 {
            cluster.put(member, &format!("k{member}"), "x").await.unwrap();
        }
    });
    let left_out = (cluster.leader() + 1) % 3;
    // One whose CA nobody knows, then one with the right CA and the wrong name.
    let strangers = [foreign.issue("peer"), ours.issue("somebody")];
    for files in strangers {
        cluster.kill(left_out);
        let asked = (left_out + 1) % 3;
        cluster.start_with(left_out, |config| config.peer_tls = files.clone());
        cluster.block_on(async |cluster| {
            let key = "without";
            eventually("the others go on", Duration::from_secs(10), async || {
                cluster.put(asked, key, "x").await.is_ok()
            })
            .await;
            let served = tokio::time::timeout(Duration::from_secs(1), cluster.get(left_out, key, true)).await;
            assert!(!matches!(served, Ok(Ok(_))), "it must not come to serve");
        });
    }
    cluster.kill(left_out);
    cluster.restart_with(left_out, |config| config.peer_tls = pair.clone()).unwrap();
    cluster.block_on(async |cluster| {
        assert_eq!(cluster.get(left_out, "without", false).await.unwrap().as_deref(), Some("x"));
    });
}

#[test]
fn a_member_joins_over_tls_if_its_certificate_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, foreign) = (Authority::new(dir.path(), "ours"), Authority::new(dir.path(), "foreign"));
    let pair = ours.issue("peer");
    assert!(pair.require_client_cert);
    let mut cluster = Cluster::start(1, |config| peers_over_tls(config, pair.clone()));
    let url = Url { tls: true, ..local_url() };
    cluster.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        let request = MemberAddRequest { peer_ur_ls: vec![url.to_string()], is_learner: false };
        cluster.members(0).member_add(request).await.unwrap();
    });
    let stranger = cluster.join("stranger", &url, |config| config.peer_tls = foreign.issue("peer"));
    let refused = cluster.ended(stranger).unwrap_err();
    assert!(refused.contains("could not retrieve cluster information"), "{refused}");
    // Known, but it calls with a certificate for another host.
    let elsewhere = ours.issue_for("elsewhere", &["192.0.2.1"]);
    let moved = PemFiles { client_cert: elsewhere.cert, client_key: elsewhere.key, ..pair.clone() };
    let displaced = cluster.join("displaced", &url, |config| config.peer_tls = moved.clone());
    let refused = cluster.ended(displaced).unwrap_err();
    assert!(refused.contains("could not retrieve cluster information"), "{refused}");
    let other = ours.issue("other-peer");
    let joined = cluster.join("m1", &url, |config| config.peer_tls = other.clone());
    cluster.ready(joined).unwrap();
    cluster.block_on(async |cluster| {
        assert_eq!(cluster.get(joined, "a", false).await.unwrap().as_deref(), Some("1"));
        cluster.put(joined, "b", "1").await.unwrap();
    });
    cluster.kill(joined);
    cluster.restart(joined);
    cluster.block_on(async |cluster| cluster.put(joined, "c", "1").await.map(drop).unwrap());
}

#[test]
fn certificates_of_their_own_making_suffice_when_asked_for() {
    let own = PemFiles { self_signed_years: Some(1), ..PemFiles::default() };
    let cluster = Cluster::start(3, |config| peers_over_tls(config, own.clone()));
    cluster.block_on(async |cluster| cluster.put(0, "a", "1").await.unwrap());
    let key = cluster.config(0).data_dir.join("fixtures/peer/key.pem");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(key).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

/// The certificate that the client port shows.
async fn shown(url: &Url, files: &PemFiles) -> CertificateDer<'static> {
    let read = |path: &Option<PathBuf>| std::fs::read(path.as_ref().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read(&files.trusted_ca)).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(&read(&files.cert)).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)).unwrap();
    let provider = std::sync::Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let stream = tokio::net::TcpStream::connect(url.authority()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(std::sync::Arc::new(config)).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Authority::new(dir.path(), "ours");
    let (server, client) = (ours.issue("server"), ours.issue("client"));
    let cluster = Cluster::start(1, |config| {
        with_tls(&mut config.listen_client_urls);
        config.client_tls = server.clone();
    });
    cluster.block_on(async |cluster| {
        let url = &cluster.config(0).listen_client_urls[0];
        let before = shown(url, &client).await;
        assert_eq!(shown(url, &client).await, before);
        ours.issue("server");
        assert_ne!(shown(url, &client).await, before);
    });
}

/// What `get a` prints, over TLS.
fn get(program: &str, endpoint: &str, files: &PemFiles, dir: &Path) -> String {
    let mut command = std::process::Command::new(program);
    command.args(["--endpoints", endpoint, "--command-timeout", "2s", "get", "a"]).current_dir(dir);
    for (flag, file) in [("--cacert", &files.trusted_ca), ("--cert", &files.cert), ("--key", &files.key)] {
        command.args(file.iter().flat_map(|file| [flag.as_ref(), file.as_os_str()]));
    }
    let output = command.env("ETCDCTL_API", "3").output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn who_is_revoked_stays_out_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Authority::new(dir.path(), "ours");
    let (server, client, other) = (ours.issue("server"), ours.issue("client"), ours.issue("other"));
    let list = dir.path().join("crl.pem");
    let serial = |files: &PemFiles| {
        let pem = std::fs::read(files.cert.as_ref().unwrap()).unwrap();
        let der = CertificateDer::from_pem_slice(&pem).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        SerialNumber::from_slice(certificate.raw_serial())
    };
    ours.revoke(&list, &[]);
    let cluster = Cluster::start(1, |config| {
        with_tls(&mut config.listen_client_urls);
        config.client_tls = PemFiles { crl: Some(list.clone()), ..server.clone() };
    });
    let endpoint = cluster.endpoint(0);
    let get = |files: &PemFiles| get(env!("CARGO_BIN_EXE_balsactl"), &endpoint, files, dir.path());
    let put = std::process::Command::new(env!("CARGO_BIN_EXE_balsactl"))
        .args(["--endpoints", &endpoint, "put", "a", "1", "--cacert"])
        .args([client.trusted_ca.as_ref().unwrap(), Path::new("--cert"), client.cert.as_ref().unwrap()])
        .args([Path::new("--key"), client.key.as_ref().unwrap()])
        .status();
    assert!(put.unwrap().success());
    assert_eq!(get(&client), "a\n1\n");
    ours.revoke(&list, &[serial(&client)]);
    assert_eq!((get(&client), get(&other)), (String::new(), "a\n1\n".to_owned()));
    std::fs::write(&list, "not a list").unwrap();
    assert_eq!((get(&client), get(&other)), (String::new(), "a\n1\n".to_owned()), "the last list stands");
}

#[test]
fn a_socket_of_the_file_system_carries_tls() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Authority::new(dir.path(), "ours");
    let (server, client) = (ours.issue("server"), ours.issue("client"));
    // Stock programs want a host and a port for the file's name, without a folder.
    let (name, endpoint) = ("localhost:2379", "unixs://localhost:2379");
    let socket = Url { tls: true, address: Address::Socket(dir.path().join(name)) };
    let cluster = Cluster::start(1, |config| {
        config.listen_client_urls.push(socket.clone());
        config.client_tls = server.clone();
    });
    cluster.block_on(async |cluster| cluster.put(0, "a", "1").await.unwrap());
    let get = |program: &str, files: &PemFiles| get(program, endpoint, files, dir.path());
    let without = PemFiles { cert: None, key: None, ..client.clone() };
    for program in ["etcdctl", env!("CARGO_BIN_EXE_balsactl")] {
        assert_eq!(get(program, &client), "a\n1\n", "{program}");
        assert_eq!(get(program, &without), "", "{program} has no certificate");
    }
}
