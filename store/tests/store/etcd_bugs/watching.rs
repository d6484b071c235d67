//! Watches: order, progress, slow clients, compaction.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::{CompactionRequest, DeleteRangeRequest, PutRequest};

use super::watcher::{Watcher, event_revisions};
use crate::harness::{Cluster, eventually};

const BOUND: Duration = Duration::from_secs(20);

/// 15220: a progress notification at R came before an event at or below R.
#[test]
fn bug_15220_progress_never_overtakes_events() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        let mut watcher = Watcher::open(cluster, 0).await;
        watcher.create(1).await;
        let writes = async {
            for i in 0..300 {
                cluster.put(0, &format!("k{}", i % 7), "x").await.unwrap();
            }
        };
        let watch = async {
            let (mut seen, mut notified, mut progress) = (1, 1, 0);
            while seen < 301 || progress < 10 {
                watcher.ask_progress();
                let response = watcher.next().await;
                let revision = response.header.as_ref().unwrap().revision;
                if response.events.is_empty() {
                    progress += 1;
                    assert!(revision <= seen, "progress at {revision}, but the last event was {seen}");
                    assert!(revision >= notified, "progress went back from {notified} to {revision}");
                    notified = revision;
                    continue;
                }
                for at in event_revisions(&response) {
                    assert_eq!(at, seen + 1, "every event once, in order");
                    assert!(at > notified, "event {at} after progress at {notified}");
                    seen = at;
                }
            }
        };
        tokio::join!(writes, watch);
    });
}

/// 17507: progress stopped for a stream on which nothing happens.
#[test]
fn bug_17507_an_idle_stream_is_answered() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        let mut watcher = Watcher::open(cluster, 0).await;
        watcher.create(0).await;
        for _ in 0..3 {
            watcher.ask_progress();
            let response = watcher.next().await;
            assert_eq!((response.watch_id, response.events.len()), (-1, 0), "{response:?}");
        }
    });
}

/// 17529: a slow watcher lost events when a compaction overtook it. It gets all of them, or is told.
#[test]
fn bug_17529_a_slow_watcher_is_told_of_what_it_missed() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        let mut watcher = Watcher::open(cluster, 0).await;
        watcher.create(1).await;
        // Nobody reads; more than the connection and every queue between can hold.
        let big = "x".repeat(200_000);
        let mut last = 1;
        for i in 0..400 {
            last = cluster.put(0, &format!("k{i}"), &big).await.unwrap();
        }
        let compaction = CompactionRequest { revision: last, physical: true };
        cluster.kv(0).compact(compaction).await.unwrap();
        let mut expected = 2;
        loop {
            let response = watcher.next().await;
            if response.canceled {
                assert_eq!(response.compact_revision, last);
                assert!(expected <= last, "canceled although it had everything");
                return;
            }
            for at in event_revisions(&response) {
                assert_eq!(at, expected, "no silent gap");
                expected += 1;
            }
            if expected > last {
                return;
            }
        }
    });
}

/// 18089 and 19179: the event of a delete was lost when the compaction was at the delete itself.
#[test]
fn bug_18089_and_19179_a_delete_at_the_compact_revision_is_still_heard_of() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        let delete = DeleteRangeRequest { key: "a".into(), ..Default::default() };
        let deleted = cluster.kv(0).delete_range(delete).await.unwrap().into_inner().header.unwrap().revision;
        let last = cluster.put(0, "b", "1").await.unwrap();
        let compaction = CompactionRequest { revision: deleted, physical: true };
        cluster.kv(0).compact(compaction).await.unwrap();
        let mut watcher = Watcher::open(cluster, 0).await;
        watcher.create(deleted).await;
        assert_eq!(watcher.revisions_until(last).await, [deleted, last]);
    });
}

/// 20707: a negative start revision. 14562: the watch with id 0 could not be told apart from none.
#[test]
fn bug_20707_and_14562_odd_ids_and_revisions() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        let mut watcher = Watcher::open(cluster, 0).await;
        let refused = watcher.create(-1).await;
        assert!(
            refused.canceled && refused.watch_id == -1 && !refused.cancel_reason.is_empty(),
            "{refused:?}"
        );
        let created = watcher.create(0).await;
        assert_eq!(created.watch_id, 0, "the first watch that lives has id 0");
        watcher.cancel(0);
        let canceled = watcher.next().await;
        assert!(canceled.canceled && canceled.watch_id == 0, "{canceled:?}");
        assert_eq!(watcher.create(0).await.watch_id, 1, "the stream goes on");
    });
}

/// 15274 and 17247: events came twice while a watcher went from catching up to following.
#[test]
fn bug_15274_and_17247_no_event_comes_twice() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        for i in 0..200 {
            cluster.put(0, &format!("k{i}"), "x").await.unwrap();
        }
        let writes = async {
            for i in 0..200 {
                cluster.put(0, &format!("k{i}"), "y").await.unwrap();
            }
        };
        let watches = async {
            for _ in 0..20 {
                let mut watcher = Watcher::open(cluster, 0).await;
                watcher.create(2).await;
                let revisions = watcher.revisions_until(201).await;
                assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
            }
        };
        tokio::join!(writes, watches);
    });
}

/// 15402: big reads on the same connection starved a watch.
#[test]
fn bug_15402_big_reads_do_not_starve_a_watch() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        let big = "x".repeat(1_000_000);
        for i in 0..20 {
            cluster.put(0, &format!("big{i}"), &big).await.unwrap();
        }
        let mut watcher = Watcher::open(cluster, 0).await;
        watcher.create(0).await;
        let reads = futures::future::join_all((0..8).map(|_| async {
            let request = balsa_proto::etcd::etcdserverpb::RangeRequest {
                key: "big".into(),
                range_end: "bih".into(),
                ..Default::default()
            };
            let mut kv = cluster.kv(0).max_decoding_message_size(usize::MAX);
            assert_eq!(kv.range(request).await.unwrap().into_inner().kvs.len(), 20);
        }));
        let events = async {
            let put = PutRequest { key: "small".into(), ..Default::default() };
            let revision = cluster.kv(0).put(put).await.unwrap().into_inner().header.unwrap().revision;
            assert_eq!(watcher.revisions_until(revision).await, [revision]);
        };
        tokio::join!(reads, events);
    });
}

/// 18785: watchers that were cancelled, or whose client was gone, were kept for ever.
#[test]
fn bug_18785_a_watcher_that_is_over_is_gone() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        let count = async |name: &str| {
            let name = format!("etcd_debugging_mvcc_{name} ");
            let metrics = cluster.page(0, "/metrics").await;
            metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok()).unwrap()
        };
        let wait_for = async |streams: u64, watchers: u64| {
            eventually("the counts of watches", BOUND, async || {
                count("watch_stream_total").await == streams && count("watcher_total").await == watchers
            })
            .await;
        };
        let last = cluster.put(0, "a", "1").await.unwrap();
        let mut kept = Watcher::open(cluster, 0).await;
        let mut dropped = Watcher::open(cluster, 0).await;
        for start in [0, last + 100, last] {
            kept.create(start).await;
            dropped.create(0).await;
        }
        wait_for(2, 6).await;
        assert_eq!(kept.revisions_until(last).await, [last]);
        for id in 0..3 {
            kept.cancel(id);
            assert!(kept.next().await.canceled);
        }
        wait_for(2, 3).await;
        drop(dropped);
        wait_for(1, 0).await;
        assert_eq!(count("slow_watcher_total").await, 0);
        assert_eq!(count("pending_events_total").await, 0);
    });
}
