//! Members on loopback ports. Each has a runtime of its own, so that it can be killed: all of its tasks are dropped
//! where they stand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::link::Link;
use balsa_proto::etcd::etcdserverpb::auth_client::AuthClient;
use balsa_proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use balsa_proto::etcd::etcdserverpb::{PutRequest, RangeRequest, StatusRequest};
use balsa_store::Config;
use balsa_store::backend::{Backend, Column, RocksBackend, View, WriteBatch};
use balsa_store::config::{Access, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// How long a call may go unanswered before the test fails: a call without an end would keep everything that waits for the tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

mod link;

pub struct Cluster {
    members: Vec<Member>,
    runtime: Runtime,
    links: Vec<Link>,
    _dir: tempfile::TempDir,
}

struct Member {
    config: Config,
    runtime: Option<Runtime>,
    channel: Channel,
    /// First that it is ready, then how it ended.
    outcome: Option<Outcome>,
}

type Outcome = std::sync::mpsc::Receiver<Result<(), String>>;

/// Below the ports that outgoing connections get: a member that calls another one which is down could else be given the
/// very port that it calls, talk to itself, and keep the port taken.
pub fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(10_000..32_000));
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

pub fn local_url() -> Url {
    Url::tcp("127.0.0.1", free_port())
}

/// Waits for `condition`, or fails with what was waited for.
pub async fn eventually(what: &str, bound: Duration, condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < bound, "not within {bound:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a member says that cannot start.
pub fn run_to_error(config: Config) -> String {
    let runtime = Runtime::new().unwrap();
    let (ready, _) = oneshot::channel();
    let error = runtime.block_on(balsa_store::run(config, ready, CancellationToken::new())).unwrap_err();
    error.to_string()
}

/// Returns once this process has no file open below `dir`: the threads of a killed member close them in their own time.
fn wait_until_released(dir: &std::path::Path) {
    let patience = Instant::now() + Duration::from_secs(20);
    let open = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        files
            .flatten()
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|path| path.starts_with(dir))
    };
    while open() {
        assert!(Instant::now() < patience, "files below {} stay open", dir.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Damage that no checksum finds: a state in which one value is another.
pub fn change_a_value(state: &std::path::Path) {
    let backend = RocksBackend::open(state, None).unwrap();
    let mut record = None;
    let mut first = |view: &dyn View| {
        let mut cursor = view.cursor(Column::Kv, &[], &[]);
        cursor.seek(&[]).unwrap();
        record = cursor.item().map(|(key, value)| (key.to_vec(), value.to_vec()));
    };
    backend.view(&mut first).unwrap();
    let (key, mut value) = record.expect("there is a value");
    *value.last_mut().expect("a record is not empty") ^= 1;
    let mut batch = WriteBatch::default();
    batch.put(Column::Kv, key, value);
    backend.write(&batch).unwrap();
}

impl Cluster {
    pub fn start(count: usize, adjust: impl Fn(&mut Config)) -> Cluster {
        Self::build(count, false, adjust, |_| {})
    }

    /// `prepare` may write into the data directory of each member before any of them starts.
    pub fn prepared(count: usize, prepare: impl Fn(&Config)) -> Cluster {
        Self::build(count, false, |_| {}, prepare)
    }

    /// Members reach one another through links that can be cut.
    pub fn start_linked(count: usize, adjust: impl Fn(&mut Config)) -> Cluster {
        Self::build(count, true, adjust, |_| {})
    }

    /// The way to a member of a linked cluster.
    pub fn link(&self, member: usize) -> &Link {
        &self.links[member]
    }

    fn build(count: usize, linked: bool, adjust: impl Fn(&mut Config), prepare: impl Fn(&Config)) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..count).map(|i| format!("m{i}")).collect();
        let peers: BTreeMap<String, Vec<Url>> =
            names.iter().map(|name| (name.clone(), vec![local_url()])).collect();
        let runtime = Runtime::new().unwrap();
        let _entered = runtime.enter();
        // Where a member listens, if that is not where the others look for it.
        let inner: BTreeMap<String, Vec<Url>> =
            names.iter().filter(|_| linked).map(|name| (name.clone(), vec![local_url()])).collect();
        let address = |url: &Url| url.authority().parse().unwrap();
        let link =
            |(name, behind): (&String, &Vec<Url>)| Link::start(address(&peers[name][0]), address(&behind[0]));
        let links = inner.iter().map(link).collect();
        let member = |name: &String| {
            let client_url = local_url();
            let mut config = Config {
                name: name.clone(),
                data_dir: dir.path().join(name),
                listen_client_urls: vec![client_url.clone()],
                advertise_client_urls: vec![client_url.clone()],
                listen_peer_urls: inner.get(name).unwrap_or(&peers[name]).clone(),
                initial_advertise_peer_urls: peers[name].clone(),
                initial_cluster: peers.clone(),
                initial_cluster_token: "test".into(),
                access: Access { bcrypt_cost: 4, ..Access::default() },
                ..Config::default()
            };
            adjust(&mut config);
            prepare(&config);
            let channel =
                Endpoint::from_shared(client_url.to_string()).unwrap().timeout(PATIENCE).connect_lazy();
            Member { config, runtime: None, channel, outcome: None }
        };
        let mut members: Vec<Member> = names.iter().map(member).collect();
        members.iter_mut().for_each(Member::start);
        members.iter().for_each(Member::wait_ready);
        drop(_entered);
        Cluster { members, runtime, links, _dir: dir }
    }

    pub fn block_on<T>(&self, test: impl AsyncFnOnce(&Cluster) -> T) -> T {
        self.runtime.block_on(test(self))
    }

    pub fn config(&self, member: usize) -> Config {
        self.members[member].config.clone()
    }

    pub fn endpoint(&self, member: usize) -> String {
        self.members[member].config.listen_client_urls[0].to_string()
    }

    /// Host and port, as etcdctl 3.4 wants its endpoints.
    pub fn authority(&self, member: usize) -> String {
        self.endpoint(member).trim_start_matches("http://").to_owned()
    }

    /// Stops the member in the middle of whatever it does.
    pub fn kill(&mut self, member: usize) {
        let runtime = self.members[member].runtime.take().expect("the member runs");
        runtime.shutdown_timeout(Duration::from_secs(5));
        wait_until_released(&self.members[member].config.data_dir);
    }

    pub fn restart(&mut self, member: usize) {
        self.members[member].start();
        self.members[member].wait_ready();
    }

    /// The same, with other flags than before. What it says if it does not start.
    pub fn restart_with(&mut self, member: usize, adjust: impl Fn(&mut Config)) -> Result<(), String> {
        adjust(&mut self.members[member].config);
        self.members[member].start();
        self.members[member].ready()
    }

    /// The same without waiting for it.
    pub fn start_with(&mut self, member: usize, adjust: impl Fn(&mut Config)) {
        adjust(&mut self.members[member].config);
        self.members[member].start();
    }

    /// Two at a time, since neither is ready without the other.
    pub fn restart_both(&mut self, one: usize, other: usize) -> Result<(), String> {
        self.members[one].start();
        self.members[other].start();
        self.members[one].ready()?;
        self.members[other].ready()
    }

    /// A further member, for a cluster that knows it already under `peer_url`; returns without waiting for it.
    pub fn join(&mut self, name: &str, peer_url: &Url, adjust: impl Fn(&mut Config)) -> usize {
        let _entered = self.runtime.enter();
        let client_url = local_url();
        let running = self.members.iter().filter(|member| member.runtime.is_some());
        let mut initial_cluster: BTreeMap<_, _> = running
            .map(|member| (member.config.name.clone(), member.config.listen_peer_urls.clone()))
            .collect();
        initial_cluster.insert(name.to_owned(), vec![peer_url.clone()]);
        let mut config = Config {
            name: name.to_owned(),
            data_dir: self._dir.path().join(name),
            listen_client_urls: vec![client_url.clone()],
            advertise_client_urls: vec![client_url.clone()],
            listen_peer_urls: vec![peer_url.clone()],
            initial_advertise_peer_urls: vec![peer_url.clone()],
            initial_cluster,
            joins_existing_cluster: true,
            ..self.members[0].config.clone()
        };
        adjust(&mut config);
        let channel = Endpoint::from_shared(client_url.to_string()).unwrap().timeout(PATIENCE).connect_lazy();
        let mut member = Member { config, runtime: None, channel, outcome: None };
        member.start();
        self.members.push(member);
        self.members.len() - 1
    }

    /// Until the member serves, or what it says instead.
    pub fn ready(&self, member: usize) -> Result<(), String> {
        self.members[member].ready()
    }

    /// Until the member has ended by itself.
    pub fn ended(&mut self, member: usize) -> Result<(), String> {
        let outcome = self.members[member].ready();
        self.members[member].runtime = None;
        outcome
    }

    /// Index of the member that leads.
    pub fn leader(&self) -> usize {
        let running: Vec<usize> =
            (0..self.members.len()).filter(|i| self.members[*i].runtime.is_some()).collect();
        self.runtime.block_on(async {
            let started = Instant::now();
            loop {
                for member in &running {
                    let status = self.maintenance(*member).status(StatusRequest {}).await;
                    let leads = |status: &balsa_proto::etcd::etcdserverpb::StatusResponse| {
                        status.leader != 0 && status.leader == status.header.as_ref().unwrap().member_id
                    };
                    if status.is_ok_and(|status| leads(status.get_ref())) {
                        return *member;
                    }
                }
                assert!(started.elapsed() < Duration::from_secs(10), "no leader");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    }

    /// The revision of the write.
    pub async fn put(&self, member: usize, key: &str, value: &str) -> Result<i64, Status> {
        let request =
            PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() };
        let response = self.kv(member).put(request).await?;
        Ok(response.into_inner().header.unwrap().revision)
    }

    pub async fn get(&self, member: usize, key: &str, serializable: bool) -> Result<Option<String>, Status> {
        let request = RangeRequest { key: key.to_owned().into(), serializable, ..Default::default() };
        let response = self.kv(member).range(request).await?.into_inner();
        let value = |kv: &balsa_proto::etcd::mvccpb::KeyValue| String::from_utf8(kv.value.to_vec()).unwrap();
        Ok(response.kvs.first().map(value))
    }

    pub fn kv(&self, member: usize) -> KvClient<Channel> {
        KvClient::new(self.members[member].channel.clone())
    }

    pub fn leases(&self, member: usize) -> LeaseClient<Channel> {
        LeaseClient::new(self.members[member].channel.clone())
    }

    pub fn watches(&self, member: usize) -> WatchClient<Channel> {
        WatchClient::new(self.members[member].channel.clone())
    }

    pub fn maintenance(&self, member: usize) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.members[member].channel.clone())
    }

    pub fn auth(&self, member: usize) -> AuthClient<Channel> {
        AuthClient::new(self.members[member].channel.clone())
    }

    pub fn members(&self, member: usize) -> ClusterClient<Channel> {
        ClusterClient::new(self.members[member].channel.clone())
    }

    /// Body of a plain HTTP page of the client port.
    pub async fn page(&self, member: usize, path: &str) -> String {
        let url = &self.members[member].config.listen_client_urls[0];
        self.ask(url, &format!("GET {path}")).await.1
    }

    /// How many snapshots the member has got from leaders.
    pub async fn snapshots_received(&self, member: usize) -> u64 {
        let metrics = self.page(member, "/metrics").await;
        let name = "etcd_network_snapshot_receive_success{";
        let samples = metrics.lines().filter_map(|line| line.strip_prefix(name)?.split_once("} "));
        samples.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
    }

    /// Head and body of the answer to a request, `METHOD /path`.
    pub async fn ask(&self, url: &Url, request: &str) -> (String, String) {
        let mut stream = tokio::net::TcpStream::connect(url.authority()).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

impl Member {
    fn start(&mut self) {
        let runtime = Runtime::new().unwrap();
        let (told, outcome) = std::sync::mpsc::channel();
        runtime.spawn(run_member(self.config.clone(), told));
        self.runtime = Some(runtime);
        self.outcome = Some(outcome);
    }

    fn ready(&self) -> Result<(), String> {
        let outcome = self.outcome.as_ref().expect("the member was started");
        outcome.recv_timeout(Duration::from_secs(30)).expect("the member says something in time")
    }

    fn wait_ready(&self) {
        self.ready().expect("the member starts");
    }
}

fn holds_on(error: &balsa_store::StartError) -> bool {
    let error = error.to_string();
    error.contains("is in use by another process") || error.contains("cannot be listened on")
}

/// The threads of a killed member may hold its files for a moment longer.
async fn run_member(config: Config, told: std::sync::mpsc::Sender<Result<(), String>>) {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        let (ready, is_ready) = oneshot::channel();
        let tell = told.clone();
        tokio::spawn(async move {
            if is_ready.await.is_ok() {
                let _ = tell.send(Ok(()));
            }
        });
        match balsa_store::run(config.clone(), ready, CancellationToken::new()).await {
            Err(error) if holds_on(&error) && Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(20)).await
            }
            outcome => return drop(told.send(outcome.map_err(|error| error.to_string()))),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
            // The process may end next, and RocksDB's own threads do not survive that while a database is open.
            if !std::thread::panicking() {
                wait_until_released(&self.config.data_dir);
            }
        }
    }
}
