//! Access control over whole members: what it keeps through restarts and snapshots, and who is recognised where.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::{Cluster, PATIENCE, eventually};
use balsa_proto::etcd::authpb::Permission;
use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::auth_client::AuthClient;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::store::CommitTimesRequest;
use balsa_proto::store::history_client::HistoryClient;
use balsa_store::auth::TokenOptions;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

const EMPTY_USER: &str = "etcdserver: user name is empty";
const DENIED: &str = "etcdserver: permission denied";
const OLD: &str = "etcdserver: revision of auth store is old";

/// `root` and `alice`, who may read and write what begins with `a`; access control is on. Passwords are names.
async fn set_up(mut auth: AuthClient<Channel>) {
    for name in ["root", "alice"] {
        let request =
            pb::AuthUserAddRequest { name: name.into(), password: name.into(), ..Default::default() };
        auth.user_add(request).await.unwrap();
    }
    auth.role_add(pb::AuthRoleAddRequest { name: "r".into() }).await.unwrap();
    let perm = Permission { perm_type: 2, key: "a".into(), range_end: "b".into() };
    let grant = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm: Some(perm) };
    auth.role_grant_permission(grant).await.unwrap();
    for (user, role) in [("root", "root"), ("alice", "r")] {
        let request = pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
        auth.user_grant_role(request).await.unwrap();
    }
    auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
}

async fn login(cluster: &Cluster, member: usize, name: &str) -> String {
    let request = pb::AuthenticateRequest { name: name.into(), password: name.into() };
    cluster.auth(member).authenticate(request).await.unwrap().into_inner().token
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("token", token.parse().unwrap());
    request
}

async fn put(mut kv: KvClient<Channel>, token: &str, key: &str) -> Result<(), String> {
    let request = pb::PutRequest { key: key.to_owned().into(), ..Default::default() };
    text(kv.put(with(token, request)).await)
}

fn text<T>(answer: Result<T, Status>) -> Result<(), String> {
    answer.map(|_| ()).map_err(|status| status.message().to_owned())
}

/// What a member says for itself, without asking the others.
async fn local_read(cluster: &Cluster, member: usize, token: Option<&str>, key: &str) -> Result<(), String> {
    let request = pb::RangeRequest { key: key.to_owned().into(), serializable: true, ..Default::default() };
    let request = match token {
        Some(token) => with(token, request),
        None => Request::new(request),
    };
    text(cluster.kv(member).range(request).await)
}

#[test]
fn a_token_of_one_member_is_good_on_all() {
    let cluster = Cluster::start(3, |_| {});
    cluster.block_on(async |cluster| {
        set_up(cluster.auth(0)).await;
        for member in 0..3 {
            let token = login(cluster, member, "alice").await;
            for other in 0..3 {
                // Through followers too: the leader applies it in alice's name.
                assert_eq!(put(cluster.kv(other), &token, "a1").await, Ok(()));
                assert_eq!(put(cluster.kv(other), &token, "b1").await, Err(DENIED.into()));
                assert_eq!(
                    text(
                        cluster.kv(other).put(pb::PutRequest { key: "a".into(), ..Default::default() }).await
                    ),
                    Err(EMPTY_USER.into())
                );
            }
        }
    });
}

#[test]
fn a_stream_of_a_range_needs_the_permission_to_read_all_of_it() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        for key in ["a1", "a2", "b1"] {
            cluster.put(0, key, "x").await.unwrap();
        }
        set_up(cluster.auth(0)).await;
        let (root, alice) = (login(cluster, 0, "root").await, login(cluster, 0, "alice").await);
        let stream = async |token: Option<&str>, key: &str, range_end: &str| {
            let request = pb::RangeRequest {
                key: key.to_owned().into(),
                range_end: range_end.to_owned().into(),
                ..Default::default()
            };
            let request = match token {
                Some(token) => with(token, request),
                None => Request::new(request),
            };
            let mut chunks = cluster.kv(0).range_stream(request).await?.into_inner();
            let mut keys = 0;
            while let Some(chunk) = chunks.message().await? {
                keys += chunk.range_response.unwrap_or_default().kvs.len();
            }
            Ok::<usize, Status>(keys)
        };
        let refused = async |token: Option<&str>, key: &str, range_end: &str| {
            stream(token, key, range_end).await.unwrap_err().message().to_owned()
        };
        assert_eq!(stream(Some(&alice), "a", "b").await.unwrap(), 2);
        assert_eq!(stream(Some(&alice), "a1", "").await.unwrap(), 1);
        assert_eq!(stream(Some(&root), "a", "c").await.unwrap(), 3);
        assert_eq!(refused(Some(&alice), "a", "c").await, DENIED);
        assert_eq!(refused(Some(&alice), "b1", "").await, DENIED);
        assert_eq!(refused(Some(&alice), "a", "\0").await, DENIED, "everything from a on");
        assert_eq!(refused(None, "a", "b").await, EMPTY_USER);
    });
}

/// When revisions were made is for every user, and what they did for those who may read it.
#[test]
fn times_of_revisions_are_for_users() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        cluster.put(0, "b", "x").await.unwrap();
        set_up(cluster.auth(0)).await;
        let alice = login(cluster, 0, "alice").await;
        let channel = Endpoint::from_shared(cluster.endpoint(0)).unwrap().timeout(PATIENCE).connect_lazy();
        let mut history = HistoryClient::new(channel);
        let request = || CommitTimesRequest { revisions: vec![2] };
        let refused = history.commit_times(request()).await;
        assert_eq!(text(refused), Err(EMPTY_USER.into()));
        let times = history.commit_times(with(&alice, request())).await.unwrap().into_inner().unix_ms;
        assert!(times.len() == 1 && times[0] > 0, "{times:?}");
    });
}

/// A member that has not heard of a grant yet asks before it refuses.
#[test]
fn a_permission_counts_everywhere_once_it_is_given() {
    let cluster = Cluster::start(3, |_| {});
    cluster.block_on(async |cluster| {
        set_up(cluster.auth(0)).await;
        let (root, alice) = (login(cluster, 0, "root").await, login(cluster, 1, "alice").await);
        for n in 0..20 {
            let key = format!("k{n}");
            let perm = Permission { perm_type: 2, key: key.clone().into(), range_end: Default::default() };
            let grant = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm: Some(perm) };
            cluster.auth(n % 3).role_grant_permission(with(&root, grant)).await.unwrap();
            assert_eq!(put(cluster.kv((n + 1) % 3), &alice, &key).await, Ok(()), "{key}");
        }
    });
}

#[test]
fn users_and_roles_survive_a_restart() {
    let mut cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| set_up(cluster.auth(0)).await);
    cluster.kill(0);
    cluster.restart(0);
    cluster.block_on(async |cluster| {
        assert_eq!(local_read(cluster, 0, None, "a").await, Err(EMPTY_USER.into()));
        let token = login(cluster, 0, "alice").await;
        assert_eq!(local_read(cluster, 0, Some(&token), "a").await, Ok(()));
        assert_eq!(local_read(cluster, 0, Some(&token), "b").await, Err(DENIED.into()));
    });
}

/// etcd #14571, #14648: a member that was brought up by a snapshot let everybody in.
#[test]
fn bug_14571_and_14648_users_and_roles_come_with_a_snapshot() {
    let mut cluster = Cluster::start(3, |config| config.snapshot_count = 40);
    let leader = cluster.leader();
    let (behind, writer) = ((leader + 1) % 3, leader);
    cluster.kill(behind);
    cluster.block_on(async |cluster| {
        set_up(cluster.auth(writer)).await;
        let token = login(cluster, writer, "alice").await;
        for n in 0..400 {
            assert_eq!(put(cluster.kv(writer), &token, &format!("a{n:03}")).await, Ok(()));
        }
    });
    cluster.restart(behind);
    cluster.block_on(async |cluster| {
        let patience = Duration::from_secs(20);
        eventually("the member has the users", patience, async || {
            local_read(cluster, behind, None, "a").await == Err(EMPTY_USER.into())
        })
        .await;
        // Counted a moment after its state is readable.
        eventually("the snapshot is counted", patience, async || {
            cluster.snapshots_received(behind).await == 1
        })
        .await;
        let token = login(cluster, behind, "alice").await;
        assert_eq!(local_read(cluster, behind, Some(&token), "a399").await, Ok(()));
        assert_eq!(local_read(cluster, behind, Some(&token), "b").await, Err(DENIED.into()));
    });
    // What came by snapshot is on disk.
    cluster.kill(behind);
    cluster.restart(behind);
    cluster.block_on(async |cluster| {
        assert_eq!(local_read(cluster, behind, None, "a").await, Err(EMPTY_USER.into()));
    });
}

/// etcd #15814: the cluster itself needs no permission to end a lease.
#[test]
fn bug_15814_a_lease_ends_while_access_control_is_on() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        set_up(cluster.auth(0)).await;
        let token = login(cluster, 0, "alice").await;
        let grant = pb::LeaseGrantRequest { ttl: 2, id: 7 };
        cluster.leases(0).lease_grant(with(&token, grant)).await.unwrap();
        let request = pb::PutRequest { key: "a".into(), lease: 7, ..Default::default() };
        cluster.kv(0).put(with(&token, request)).await.unwrap();
        eventually("the key is gone with its lease", Duration::from_secs(15), async || {
            let request = pb::RangeRequest { key: "a".into(), ..Default::default() };
            let found = cluster.kv(0).range(with(&token, request)).await.unwrap().into_inner();
            found.count == 0
        })
        .await;
    });
}

#[test]
fn a_signed_token_is_bound_to_the_users_that_it_was_made_for() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    openssl(&["genpkey", "-algorithm", "ED25519", "-out", text_of(&key)]);
    let options = format!("jwt,sign-method=EdDSA,priv-key={}", key.display());
    let cluster = Cluster::start(3, |config| config.access.tokens = TokenOptions::parse(&options).unwrap());
    cluster.block_on(async |cluster| {
        set_up(cluster.auth(0)).await;
        let token = login(cluster, 0, "alice").await;
        assert_eq!(token.split('.').count(), 3, "{token}");
        for member in 0..3 {
            assert_eq!(put(cluster.kv(member), &token, "a").await, Ok(()));
            assert_eq!(put(cluster.kv(member), &token, "b").await, Err(DENIED.into()));
        }
        let root = login(cluster, 0, "root").await;
        let change = pb::AuthRoleAddRequest { name: "another".into() };
        cluster.auth(0).role_add(with(&root, change)).await.unwrap();
        for member in 0..3 {
            assert_eq!(put(cluster.kv(member), &token, "a").await, Err(OLD.into()));
        }
        let token = login(cluster, 1, "alice").await;
        assert_eq!(put(cluster.kv(2), &token, "a").await, Ok(()));
        let is_taken = |token: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_balsactl"));
            command.args(["--endpoints", &cluster.endpoint(2), "--auth-jwt-token", token, "put", "a", "1"]);
            command.output().unwrap().status.success()
        };
        assert!(is_taken(&token) && !is_taken("another"));
    });
}

#[test]
fn the_name_in_a_client_certificate_is_a_user() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new(dir.path());
    let (server_cert, server_key) = ca.issue("server");
    let cluster = Cluster::start(1, |config| {
        for url in config.listen_client_urls.iter_mut().chain(&mut config.advertise_client_urls) {
            url.tls = true;
        }
        config.client_tls.cert = Some(server_cert.clone());
        config.client_tls.key = Some(server_key.clone());
        config.client_tls.trusted_ca = Some(ca.cert.clone());
        config.client_tls.require_client_cert = true;
    });
    let address = cluster.config(0).listen_client_urls[0].to_string();
    let channel = |name: &str| {
        let (cert, key) = ca.issue(name);
        let read = |path: &Path| std::fs::read(path).unwrap();
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&ca.cert)))
            .identity(Identity::from_pem(read(&cert), read(&key)));
        Endpoint::from_shared(address.clone()).unwrap().tls_config(tls).unwrap()
    };
    let (alice, stranger) = (channel("alice"), channel("stranger"));
    cluster.block_on(async |_| {
        set_up(AuthClient::new(alice.connect_lazy())).await;
        let put = async |endpoint: &Endpoint, key: &str| {
            let request = pb::PutRequest { key: key.to_owned().into(), ..Default::default() };
            text(KvClient::new(endpoint.connect_lazy()).put(request).await)
        };
        assert_eq!(put(&alice, "a").await, Ok(()));
        assert_eq!(put(&alice, "b").await, Err(DENIED.into()));
        assert_eq!(put(&stranger, "a").await, Err(DENIED.into()));
    });
}

struct Ca {
    dir: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Ca {
    fn new(dir: &Path) -> Self {
        let ca = Ca { dir: dir.to_owned(), cert: dir.join("ca.crt"), key: dir.join("ca.key") };
        let subject = ["-subj", "/CN=ca", "-days", "1", "-nodes"];
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let files = ["-keyout", text_of(&ca.key), "-out", text_of(&ca.cert)];
        openssl(&[&["req", "-x509"][..], &curve, &files, &subject].concat());
        ca
    }

    /// For a server on loopback and for a client of that name alike.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let path = |suffix: &str| self.dir.join(format!("{name}.{suffix}"));
        let (cert, key, request, extensions) = (path("crt"), path("key"), path("csr"), path("ext"));
        let subject = format!("/CN={name}");
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let files = ["-keyout", text_of(&key), "-out", text_of(&request), "-subj", &subject];
        openssl(&[&["req"][..], &curve, &files].concat());
        std::fs::write(&extensions, "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
        let signer = ["-CA", text_of(&self.cert), "-CAkey", text_of(&self.key), "-CAcreateserial"];
        let files = ["-in", text_of(&request), "-out", text_of(&cert), "-extfile", text_of(&extensions)];
        openssl(&[&["x509", "-req", "-days", "1"][..], &signer, &files].concat());
        (cert, key)
    }
}

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn openssl(args: &[&str]) {
    let output = Command::new("openssl").args(args).output().expect("openssl is installed");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
