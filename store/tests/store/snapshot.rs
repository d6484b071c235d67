//! Snapshots in etcd's format, both ways: ours into a stock etcd and a stock one into ours, with `balsactl` and `etcdctl`.

mod tools;
mod users;

use std::path::Path;
use std::time::Duration;

use crate::harness::{Cluster, PATIENCE, eventually};
use balsa_proto::etcd::etcdserverpb::alarm_request::AlarmAction;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::watch_client::WatchClient;
use balsa_proto::etcd::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseTimeToLiveRequest, PutRequest, RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse,
    watch_request::RequestUnion,
};
use balsa_store::Config;
use futures::StreamExt;
use tonic::transport::{Channel, Endpoint};

/// A history with every kind of record: several versions, deletes, a compaction, leases of both signs, a value over many
/// pages, and enough keys for branches of two levels.
async fn write_history(channel: &Channel) {
    let mut kv = KvClient::new(channel.clone());
    let mut leases = LeaseClient::new(channel.clone());
    for id in [7, -7] {
        leases.lease_grant(LeaseGrantRequest { ttl: 5000, id }).await.unwrap();
    }
    let put = |key: &str, value: &str, lease: i64| PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        lease,
        ..Default::default()
    };
    kv.put(put("a", "1", 0)).await.unwrap();
    kv.put(put("a", "2", 7)).await.unwrap();
    kv.put(put("b", "1", -7)).await.unwrap();
    kv.delete_range(DeleteRangeRequest { key: "b".into(), ..Default::default() }).await.unwrap();
    kv.compact(CompactionRequest { revision: 4, physical: true }).await.unwrap();
    kv.put(put("large", &"x".repeat(300_000), 0)).await.unwrap();
    for number in 0..600 {
        kv.put(put(&format!("many/{number:04}"), &format!("value {number}"), 0)).await.unwrap();
    }
    kv.put(put("b", "again", -7)).await.unwrap();
    kv.delete_range(DeleteRangeRequest { key: "many/0007".into(), ..Default::default() }).await.unwrap();
    users::add(channel).await;
    MaintenanceClient::new(channel.clone()).alarm(alarm(AlarmAction::Activate)).await.unwrap();
}

fn alarm(action: AlarmAction) -> AlarmRequest {
    AlarmRequest { action: action as i32, member_id: 7, alarm: AlarmType::Nospace as i32 }
}

/// Everything that a client can see of it, as text.
async fn what_clients_see(channel: &Channel) -> String {
    let mut kv = KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
    let mut out = String::new();
    for revision in [0, 4, 5, 300] {
        let request =
            RangeRequest { key: vec![0].into(), range_end: vec![0].into(), revision, ..Default::default() };
        let response = kv.range(request).await.unwrap().into_inner();
        out.push_str(&format!("at {revision}: {:?}\n", response.kvs));
        if revision == 0 {
            out.push_str(&format!("revision {}\n", response.header.unwrap().revision));
        }
    }
    for revision in [0, 5, 300, 608] {
        let request = HashKvRequest { revision };
        let mut maintenance = MaintenanceClient::new(channel.clone());
        let hash = maintenance.hash_kv(request).await.unwrap().into_inner();
        out.push_str(&format!("hash at {revision}: {} above {}\n", hash.hash, hash.compact_revision));
    }
    let alarms = MaintenanceClient::new(channel.clone()).alarm(alarm(AlarmAction::Get)).await.unwrap();
    out.push_str(&format!("alarms {:?}\n", alarms.into_inner().alarms));
    let compacted = kv.range(RangeRequest { key: "a".into(), revision: 3, ..Default::default() }).await;
    out.push_str(&format!("at 3: {}\n", compacted.unwrap_err().message()));
    for id in [7, -7] {
        let request = LeaseTimeToLiveRequest { id, keys: true };
        let lease = LeaseClient::new(channel.clone()).lease_time_to_live(request).await.unwrap().into_inner();
        out.push_str(&format!("lease {id}: {} {:?}\n", lease.granted_ttl, lease.keys));
    }
    out + &users::describe(channel).await
}

fn connect(endpoint: &str) -> Channel {
    Endpoint::from_shared(endpoint.to_owned()).unwrap().timeout(PATIENCE).connect_lazy()
}

/// One line, so that a difference can be read.
fn assert_same(ours: &str, theirs: &str) {
    let differs = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
    assert!(ours == theirs, "{:.2000?}", differs);
}

#[test]
fn a_snapshot_of_ours_starts_a_stock_etcd() {
    let cluster = Cluster::start(1, |_| {});
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snapshot.db");
    cluster.block_on(async |cluster| {
        let ours = connect(&cluster.endpoint(0));
        write_history(&ours).await;
        tools::etcdctl(&["--endpoints", &cluster.authority(0), "snapshot", "save", path(&file)]);
        let status = tools::etcdctl(&["snapshot", "status", path(&file), "-w", "json"]);
        assert!(status.contains("\"revision\":608"), "{status}");
        let stock = tools::Stock::restored(&file);
        let theirs = connect(&stock.endpoint);
        eventually("the stock server serves", Duration::from_secs(60), async || serves(&theirs).await).await;
        assert_same(&what_clients_see(&ours).await, &what_clients_see(&theirs).await);
        users::enable(&theirs).await;
        users::counts_whom_it_knows(&theirs).await;
    });
}

#[test]
fn bug_16029_a_snapshot_of_a_stock_etcd_starts_ours_and_the_revision_can_be_raised() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snapshot.db");
    let stock = tools::Stock::fresh();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let theirs = runtime.block_on(async {
        let channel = connect(&stock.endpoint);
        eventually("the stock server serves", Duration::from_secs(60), async || serves(&channel).await).await;
        write_history(&channel).await;
        tools::balsactl(&["--endpoints", &stock.endpoint, "snapshot", "save", path(&file)]);
        what_clients_see(&channel).await
    });
    let raise: &[(&[&str], bool)] =
        &[(&[], false), (&["--bump-revision", "1000000", "--mark-compacted"], true)];
    for (flags, raised) in raise {
        let cluster = Cluster::prepared(3, |config| tools::restore(config, &file, flags));
        cluster.block_on(async |cluster| {
            let ours = connect(&cluster.endpoint(0));
            if !raised {
                assert_same(&what_clients_see(&ours).await, &theirs);
                users::enable(&ours).await;
                return users::counts_whom_it_knows(&ours).await;
            }
            cluster.maintenance(0).alarm(alarm(AlarmAction::Deactivate)).await.unwrap();
            let revision = cluster.put(1, "after", "x").await.unwrap();
            assert_eq!(revision, 608 + 1_000_000 + 1);
            let old = RangeRequest { key: "a".into(), revision: 608, ..Default::default() };
            let compacted = cluster.kv(2).range(old).await.unwrap_err();
            assert_eq!(compacted.message(), "etcdserver: mvcc: required revision has been compacted");
            assert_eq!(first_of_watch(&ours, 608).await.compact_revision, 608 + 1_000_000);
            assert_eq!(cluster.get(2, "a", false).await.unwrap().as_deref(), Some("2"));
        });
    }
}

/// A copy of a store that asks for passwords asks for them, too.
#[test]
fn access_control_that_is_on_is_on_after_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    let (ours_file, theirs_file) = (dir.path().join("ours.db"), dir.path().join("theirs.db"));
    let as_root = ["--user", "root:root-password", "snapshot", "save"];
    let (cluster, stock) = (Cluster::start(1, |_| {}), tools::Stock::fresh());
    cluster.block_on(async |cluster| {
        let theirs = connect(&stock.endpoint);
        eventually("the stock server serves", Duration::from_secs(60), async || serves(&theirs).await).await;
        for channel in [theirs, connect(&cluster.endpoint(0))] {
            users::add(&channel).await;
            users::enable(&channel).await;
        }
        tools::etcdctl(
            &[&["--endpoints", &cluster.authority(0)], &as_root[..], &[path(&ours_file)]].concat(),
        );
        tools::balsactl(&[&["--endpoints", &stock.endpoint], &as_root[..], &[path(&theirs_file)]].concat());
        let stock = tools::Stock::restored(&ours_file);
        let theirs = connect(&stock.endpoint);
        eventually("the stock server serves", Duration::from_secs(60), async || {
            users::asks_who_it_is(&theirs).await
        })
        .await;
        users::counts_whom_it_knows(&theirs).await;
    });
    let restored = Cluster::prepared(1, |config| tools::restore(config, &theirs_file, &[]));
    restored.block_on(async |restored| {
        let ours = connect(&restored.endpoint(0));
        assert!(users::asks_who_it_is(&ours).await);
        users::counts_whom_it_knows(&ours).await;
    });
}

/// A member that joins without the restored state must get it as a snapshot, and never the log alone.
#[test]
fn a_restored_cluster_gives_its_state_to_a_member_that_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snapshot.db");
    let source = Cluster::start(1, |_| {});
    source.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        tools::balsactl(&["--endpoints", &cluster.endpoint(0), "snapshot", "save", path(&file)]);
    });
    let cluster = Cluster::prepared(3, |config| {
        if config.name != "m2" {
            tools::restore(config, &file, &[]);
        }
    });
    cluster.block_on(async |cluster| {
        cluster.put(0, "b", "2").await.unwrap();
        for key in ["a", "b"] {
            eventually(key, Duration::from_secs(20), async || {
                cluster.get(2, key, true).await.is_ok_and(|value| value.is_some())
            })
            .await;
        }
    });
}

/// As etcd's documents start it after a disaster: the directory says what the flags of the restore were.
#[test]
fn a_restored_member_is_started_without_the_flags_of_the_restore() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snapshot.db");
    let source = Cluster::start(1, |_| {});
    source.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        tools::balsactl(&["--endpoints", &cluster.endpoint(0), "snapshot", "save", path(&file)]);
    });
    let cluster = Cluster::prepared(1, |config| {
        let restored = Config { initial_cluster_token: "of the restore".into(), ..config.clone() };
        tools::restore(&restored, &file, &[]);
    });
    cluster.block_on(async |cluster| {
        assert_eq!(cluster.get(0, "a", false).await.unwrap().as_deref(), Some("1"));
    });
}

#[test]
fn a_damaged_snapshot_is_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snapshot.db");
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        tools::balsactl(&["--endpoints", &cluster.endpoint(0), "snapshot", "save", path(&file)]);
    });
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[9000] ^= 1;
    let cases: [(&[u8], &[&str], &str); 4] = [
        (&flipped, &[], "expected sha256"),
        (&whole[..whole.len() - 32], &[], "snapshot missing hash but --skip-hash-check=false"),
        (&whole[..4096], &["--skip-hash-check"], "the snapshot is cut short"),
        (b"not a snapshot", &["--skip-hash-check"], "this is not a snapshot"),
    ];
    for (bytes, flags, sentence) in cases {
        std::fs::write(&file, bytes).unwrap();
        let data_dir = dir.path().join("data");
        let error = tools::balsactl_fails(
            &[&["snapshot", "restore", path(&file), "--data-dir", path(&data_dir)], flags].concat(),
        );
        assert!(error.contains(sentence), "{error}");
        assert!(!data_dir.join("member").exists(), "nothing that a member would start from");
    }
}

/// What a watch of before the restore hears, behind the word that it is there.
async fn first_of_watch(channel: &Channel, start_revision: i64) -> WatchResponse {
    let create = WatchCreateRequest { key: "a".into(), start_revision, ..Default::default() };
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = futures::stream::iter([request]).chain(futures::stream::pending());
    let mut answers = WatchClient::new(channel.clone()).watch(requests).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().unwrap().created);
    answers.message().await.unwrap().unwrap()
}

async fn serves(channel: &Channel) -> bool {
    let request = RangeRequest { key: "health".into(), ..Default::default() };
    KvClient::new(channel.clone()).range(request).await.is_ok()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
