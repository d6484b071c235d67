//! A follower that is cut off until the log is purged, and comes back by snapshot, with its clients still there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::{
    CompactionRequest, DefragmentRequest, HashKvRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

use super::watcher::{Watcher, event_revisions};
use crate::harness::{Cluster, eventually};

const BOUND: Duration = Duration::from_secs(30);

fn cluster() -> Cluster {
    Cluster::start_linked(3, |config| config.snapshot_count = 40)
}

/// Enough that the log is purged beyond a member that is cut off. The last revision.
async fn write_many(cluster: &Cluster, member: usize) -> i64 {
    let mut last = 0;
    for i in 0..300 {
        last = cluster.put(member, &format!("k{}", i % 20), &i.to_string()).await.unwrap();
    }
    last
}

async fn wait_for_snapshots(cluster: &Cluster, member: usize, count: u64) {
    eventually("a snapshot is installed", BOUND, async || cluster.snapshots_received(member).await >= count)
        .await;
}

/// 15271: after a follower installed a snapshot, a watch on it went back in time. 20221: one that waits for a future
/// revision heard of older ones.
#[test]
fn bug_15271_and_20221_watches_through_a_snapshot() {
    let cluster = cluster();
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    cluster.block_on(async |cluster| {
        let first = cluster.put(leader, "k", "x").await.unwrap();
        let mut watcher = Watcher::open(cluster, behind).await;
        watcher.create(first).await;
        assert_eq!(watcher.revisions_until(first).await, [first]);
        let future = first + 310;
        let mut waiting = Watcher::open(cluster, behind).await;
        waiting.create(future).await;

        cluster.link(behind).cut();
        let last = write_many(cluster, leader).await;
        cluster.link(behind).heal();
        wait_for_snapshots(cluster, behind, 1).await;

        let revisions = watcher.revisions_until(last).await;
        assert_eq!(revisions, (first + 1..=last).collect::<Vec<_>>(), "once each, in order");
        let mut last = last;
        while last < future + 2 {
            last = cluster.put(leader, "more", "x").await.unwrap();
        }
        assert_eq!(waiting.revisions_until(last).await, (future..=last).collect::<Vec<_>>());
    });
}

/// 18055: two snapshots in quick succession.
#[test]
fn bug_18055_one_snapshot_after_the_other() {
    let cluster = cluster();
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    cluster.block_on(async |cluster| {
        for round in 1..=3 {
            cluster.link(behind).cut();
            let last = write_many(cluster, leader).await;
            cluster.link(behind).heal();
            wait_for_snapshots(cluster, behind, round).await;
            eventually("the follower has what was written", BOUND, async || {
                let value = cluster.get(behind, "k19", true).await;
                value.is_ok_and(|value| value.as_deref() == Some("299"))
            })
            .await;
            let next = cluster.put(behind, "again", "x").await.unwrap();
            assert_eq!(next, last + 1, "no revision is skipped or given twice");
        }
    });
}

/// 18667: a transaction with a range at a compacted revision ended differently on members whose compaction had come
/// differently far. Everything that is stored must be the same on all of them.
#[test]
fn bug_18667_apply_does_not_look_at_local_progress() {
    let mut cluster = cluster();
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    let last = cluster.block_on(async |cluster| {
        let last = write_many(cluster, leader).await;
        cluster.kv(leader).compact(CompactionRequest { revision: last - 5, physical: false }).await.unwrap();
        let op = |request| RequestOp { request: Some(request) };
        let range = RangeRequest { key: "k1".into(), revision: last - 50, ..Default::default() };
        let put = PutRequest { key: "half".into(), value: "x".into(), ..Default::default() };
        let success = vec![op(Request::RequestPut(put)), op(Request::RequestRange(range))];
        let refused = cluster.kv(leader).txn(TxnRequest { success, ..Default::default() }).await.unwrap_err();
        assert_eq!(refused.message(), "etcdserver: mvcc: required revision has been compacted");
        cluster.put(leader, "end", "x").await.unwrap()
    });
    cluster.kill(behind);
    cluster.restart(behind);
    cluster.block_on(async |cluster| {
        for member in 0..3 {
            eventually("the member has applied everything", BOUND, async || {
                cluster.get(member, "end", true).await.is_ok_and(|value| value.is_some())
            })
            .await;
            assert_eq!(cluster.get(member, "half", true).await.unwrap(), None, "all or nothing");
        }
        assert_eq!(cluster.put(behind, "end", "y").await.unwrap(), last + 1);
    });
}

/// 15271 once more, for a client that does not read: what it is owed when the state is replaced under it comes in order, or
/// it is told that it is gone.
#[test]
fn bug_15271_a_watch_that_had_fallen_behind() {
    let cluster = cluster();
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    cluster.block_on(async |cluster| {
        let mut slow = Watcher::open(cluster, behind).await;
        slow.create(2).await;
        // Nobody reads; more than the connection and every queue between can hold.
        let big = "x".repeat(200_000);
        let mut seen = 1;
        for i in 0..300 {
            seen = cluster.put(leader, &format!("big{}", i % 5), &big).await.unwrap();
        }
        eventually("the follower has all of it", BOUND, async || {
            cluster.get(behind, "big4", true).await.is_ok_and(|value| value.is_some())
        })
        .await;
        cluster.link(behind).cut();
        let last = write_many(cluster, leader).await;
        let compaction = CompactionRequest { revision: seen + 100, physical: true };
        cluster.kv(leader).compact(compaction).await.unwrap();
        cluster.link(behind).heal();
        wait_for_snapshots(cluster, behind, 1).await;
        let mut expected = 2;
        loop {
            let response = slow.next().await;
            if response.canceled {
                assert_eq!(response.compact_revision, seen + 100);
                assert!(expected < seen + 100, "canceled although it had everything");
                return;
            }
            for at in event_revisions(&response) {
                assert_eq!(at, expected, "once each, in order");
                expected += 1;
            }
            if expected > last {
                return;
            }
        }
    });
}

/// 20650: a snapshot that was installed during a defragmentation, or a compaction, damaged the database.
#[test]
fn bug_20650_a_snapshot_comes_while_the_member_defragments() {
    let cluster = cluster();
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    cluster.block_on(async |cluster| {
        for round in 1..=2 {
            cluster.link(behind).cut();
            let last = write_many(cluster, leader).await;
            let compaction = CompactionRequest { revision: last - 10, physical: false };
            cluster.kv(leader).compact(compaction).await.unwrap();
            let installed = AtomicBool::new(false);
            let defragment = async {
                while !installed.load(Ordering::Relaxed) {
                    cluster.maintenance(behind).defragment(DefragmentRequest {}).await.unwrap();
                }
            };
            let install = async {
                cluster.link(behind).heal();
                wait_for_snapshots(cluster, behind, round).await;
                installed.store(true, Ordering::Relaxed);
            };
            tokio::join!(defragment, install);
            eventually("the follower has what was written", BOUND, async || {
                cluster.get(behind, "k19", true).await.is_ok_and(|value| value.as_deref() == Some("299"))
            })
            .await;
            let mut hashes = Vec::new();
            for member in [leader, behind] {
                let request = HashKvRequest { revision: last };
                let answer = cluster.maintenance(member).hash_kv(request).await.unwrap().into_inner();
                hashes.push((answer.hash, answer.compact_revision));
            }
            assert_eq!(hashes[0], hashes[1], "round {round}");
        }
    });
}
