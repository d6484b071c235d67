//! Writers that note what was acknowledged, and the judgement over what a member holds afterwards.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::eventually;
use balsa_proto::etcd::etcdserverpb::auth_client::AuthClient;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use balsa_proto::etcd::etcdserverpb::{
    AuthenticateRequest, CompactionRequest, DefragmentRequest, LeaseGrantRequest, LeaseKeepAliveRequest,
    PutRequest, RangeRequest, RequestOp, StatusRequest, TxnRequest, WatchCreateRequest, WatchRequest,
    request_op::Request, watch_request::RequestUnion,
};
use futures::StreamExt;
use tonic::transport::{Channel, Endpoint};

const WRITERS: u64 = 8;
const KEYS_PER_WRITER: u64 = 5;
/// One writer asks for a compaction this often.
const COMPACT_EVERY: u64 = 150;
const RETRY: Duration = Duration::from_millis(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What the clients were told.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// Number of the last acknowledged write of each key.
    written: BTreeMap<String, u64>,
    /// The greatest revision of any answer.
    pub revision: i64,
}

/// What a member holds.
pub struct Found {
    values: BTreeMap<String, u64>,
    pub revision: i64,
}

impl Acknowledged {
    /// A later write than the last acknowledged one may be there too: its answer was on its way.
    pub fn check(&self, found: &Found) -> Result<()> {
        ensure!(
            found.revision >= self.revision,
            "revision {} after revision {}",
            found.revision,
            self.revision
        );
        for (key, number) in &self.written {
            let have = found.values.get(key);
            ensure!(
                have.is_some_and(|have| have >= number),
                "{key}: write {number} was acknowledged, {have:?} is there"
            );
        }
        for (key, have) in found.values.iter().filter(|(key, _)| !key.ends_with("/pair")) {
            let other = found.values.get(&pair(key));
            ensure!(other == Some(have), "half of a transaction: {key} is {have}, its pair {other:?}");
        }
        Ok(())
    }
}

/// Writers on one member, until it is gone or they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<Acknowledged>,
}

impl Load {
    pub fn start(endpoint: String) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (stop.clone(), count.clone());
        let thread = std::thread::spawn(move || {
            run(async {
                let channel = connect(&endpoint);
                let writers = (0..WRITERS)
                    .map(|number| writer(number, channel.clone(), stopped.clone(), counter.clone()));
                let mut all = Acknowledged::default();
                for mut one in futures::future::join_all(writers).await {
                    all.written.append(&mut one.written);
                    all.revision = all.revision.max(one.revision);
                }
                all
            })
        });
        Self { stop, count, thread }
    }

    /// Until so many writes were acknowledged.
    pub fn wait_for(&self, writes: u64, timeout: Duration) -> Result<()> {
        eventually("enough writes are acknowledged", timeout, || {
            let have = self.count.load(Ordering::Relaxed);
            ensure!(have >= writes, "{have} so far");
            Ok(())
        })
    }

    pub fn stop(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("writers end without a panic")
    }
}

/// Goes on through errors: the member may be gone for a while, or the leader another.
async fn writer(number: u64, channel: Channel, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) -> Acknowledged {
    let mut kv = KvClient::new(channel);
    let mut told = Acknowledged::default();
    for write in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{number}/{}", write % KEYS_PER_WRITER);
        let Some(revision) = write_pair(&mut kv, &key, write).await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        told.written.insert(pair(&key), write);
        told.written.insert(key, write);
        told.revision = told.revision.max(revision);
        count.fetch_add(1, Ordering::Relaxed);
        if number == 0 && write % COMPACT_EVERY == 0 {
            // The member may be gone, which the next write finds out.
            drop(kv.compact(CompactionRequest { revision, physical: false }).await);
        }
    }
    told
}

/// Two keys in one transaction: both or neither.
async fn write_pair(kv: &mut KvClient<Channel>, key: &str, write: u64) -> Option<i64> {
    let value = write.to_string();
    let put = |key: &str| RequestOp { request: Some(Request::RequestPut(put_request(key, &value, 0))) };
    let request = TxnRequest { success: vec![put(key), put(&pair(key))], ..TxnRequest::default() };
    let answer = kv.txn(request).await.ok()?.into_inner();
    Some(answer.header.map_or(0, |header| header.revision))
}

fn pair(key: &str) -> String {
    format!("{key}/pair")
}

pub fn read_all(endpoint: &str, serializable: bool) -> Result<Found> {
    run(async {
        let mut kv = KvClient::new(connect(endpoint));
        let request = RangeRequest {
            key: b"\0".to_vec().into(),
            range_end: b"\0".to_vec().into(),
            serializable,
            ..RangeRequest::default()
        };
        let answer = kv.range(request).await.context("read everything")?.into_inner();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let values = answer.kvs.iter().map(|kv| (text(&kv.key), text(&kv.value).parse().unwrap_or(0)));
        let values = values.collect();
        Ok(Found { values, revision: answer.header.context("a header")?.revision })
    })
}

/// Every revision that is kept was given once, and none is missing up to `last`.
pub fn check_history(endpoint: &str, last: i64) -> Result<()> {
    run(async {
        let revisions = retained_revisions(connect(endpoint), last).await?;
        let mut expected = *revisions.first().context("at least one revision is retained")?;
        for revision in revisions {
            ensure!(revision == expected, "revision {revision} where {expected} should be");
            expected += 1;
        }
        ensure!(expected == last + 1, "the history ends at {} and not at {last}", expected - 1);
        Ok(())
    })
}

/// Watches from the beginning; when that is compacted, from where the answer says that history begins.
async fn retained_revisions(channel: Channel, last: i64) -> Result<Vec<i64>> {
    let mut start = 1;
    loop {
        let create = WatchCreateRequest {
            key: b"\0".to_vec().into(),
            range_end: b"\0".to_vec().into(),
            start_revision: start,
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = futures::stream::iter([request]).chain(futures::stream::pending());
        let mut stream =
            WatchClient::new(channel.clone()).watch(requests).await.context("watch")?.into_inner();
        let mut revisions = Vec::new();
        loop {
            let next = tokio::time::timeout(REQUEST_TIMEOUT, stream.message());
            let answer = next.await.context("no event in time")?.context("the watch")?.context("its end")?;
            if answer.compact_revision > 0 {
                // What the compact revision itself superseded is gone; the first whole revision is the next.
                start = answer.compact_revision + 1;
                break;
            }
            revisions.extend(answer.events.iter().filter_map(|event| Some(event.kv.as_ref()?.mod_revision)));
            // Both keys of a transaction have its revision.
            revisions.dedup();
            if revisions.last().is_some_and(|revision| *revision >= last) {
                return Ok(revisions);
            }
        }
    }
}

/// The revision of the write.
pub fn put(endpoint: &str, key: &str, value: &str) -> Result<i64> {
    send_put(endpoint, put_request(key, value, 0))
}

pub fn put_leased(endpoint: &str, key: &str, lease: i64) -> Result<i64> {
    send_put(endpoint, put_request(key, "x", lease))
}

fn send_put(endpoint: &str, request: PutRequest) -> Result<i64> {
    run(async {
        let answer = KvClient::new(connect(endpoint)).put(request).await.context("write")?;
        Ok(answer.into_inner().header.context("a header")?.revision)
    })
}

fn put_request(key: &str, value: &str, lease: i64) -> PutRequest {
    let (key, value) = (key.to_owned().into(), value.to_owned().into());
    PutRequest { key, value, lease, ..PutRequest::default() }
}

/// Linearizable.
pub fn get(endpoint: &str, key: &str) -> Result<Option<String>> {
    run(async {
        let request = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
        let answer = KvClient::new(connect(endpoint)).range(request).await.context("read")?.into_inner();
        Ok(answer.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()))
    })
}

pub fn grant(endpoint: &str, ttl_seconds: i64) -> Result<i64> {
    run(async {
        let request = LeaseGrantRequest { ttl: ttl_seconds, id: 0 };
        let answer =
            LeaseClient::new(connect(endpoint)).lease_grant(request).await.context("grant a lease")?;
        Ok(answer.into_inner().id)
    })
}

pub fn keep_alive(endpoint: &str, lease: i64) -> Result<()> {
    run(async {
        let request = LeaseKeepAliveRequest { id: lease };
        let mut leases = LeaseClient::new(connect(endpoint));
        let stream = leases.lease_keep_alive(futures::stream::iter([request])).await;
        let answer = stream.context("keep alive")?.into_inner().message().await.context("its answer")?;
        let ttl_seconds = answer.context("the stream ended")?.ttl;
        ensure!(ttl_seconds > 0, "the lease is gone");
        Ok(())
    })
}

pub fn leads(endpoint: &str) -> Result<bool> {
    run(async {
        let mut maintenance = MaintenanceClient::new(connect(endpoint));
        let status = maintenance.status(StatusRequest {}).await.context("status")?.into_inner();
        Ok(status.header.is_some_and(|header| header.member_id == status.leader))
    })
}

/// The token.
pub fn authenticate(endpoint: &str, name: &str, password: &str) -> Result<String> {
    run(async {
        let request = AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
        let answer = AuthClient::new(connect(endpoint)).authenticate(request).await.context("log in")?;
        Ok(answer.into_inner().token)
    })
}

pub fn defragment(endpoint: &str) -> Result<()> {
    run(async {
        let mut maintenance = MaintenanceClient::new(connect(endpoint));
        maintenance.defragment(DefragmentRequest {}).await.context("defragment")?;
        Ok(())
    })
}

fn connect(endpoint: &str) -> Channel {
    let endpoint = Endpoint::from_shared(endpoint.to_owned()).expect("the URL is our own");
    endpoint.timeout(REQUEST_TIMEOUT).connect_lazy()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime starts").block_on(work)
}
