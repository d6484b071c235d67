//! Watch streams over the memory backend, in one task with a paused clock.

use std::sync::Arc;
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::watch_request::RequestUnion;
use balsa_proto::store::{Command, CommandBatch, command::Op};
use bytes::Bytes;

use super::{StreamOptions, WatchHub, WatchStream};
use crate::apply::{AppliedPosition, Applier, ApplyOptions};
use crate::backend::{Backend, MemoryBackend};
use crate::mvcc::limits::{HUB_HISTORY_REVISIONS, STREAM_INBOX_EVENTS};

struct Store {
    applier: Applier,
    hub: WatchHub,
    log_index: u64,
}

impl Store {
    fn new() -> Self {
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
        let (applier, _, hub, _) = Applier::open(backend, ApplyOptions::default()).expect("opens");
        Self { applier, hub, log_index: 0 }
    }

    fn apply(&mut self, op: Op) {
        self.log_index += 1;
        let position = AppliedPosition { log_index: self.log_index, log_id: Bytes::new(), membership: None };
        let commands = vec![Command { op: Some(op), ..Command::default() }];
        let replies = self.applier.apply(&[(position, CommandBatch { commands })]).expect("applies");
        replies.into_iter().flatten().for_each(|reply| drop(reply.expect("succeeds")));
    }

    fn put(&mut self, key: &str, value: &str) {
        self.apply(Op::Put(put(key, value)));
    }

    fn delete(&mut self, key: &str) {
        self.apply(Op::DeleteRange(pb::DeleteRangeRequest {
            key: key.to_owned().into(),
            ..Default::default()
        }));
    }

    fn put_together(&mut self, keys: &[&str]) {
        let success = keys
            .iter()
            .map(|key| pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put(key, "t"))) });
        self.apply(Op::Txn(pb::TxnRequest { success: success.collect(), ..Default::default() }));
    }

    fn compact(&mut self, revision: i64) {
        self.apply(Op::Compaction(pb::CompactionRequest { revision, physical: false }));
    }

    fn stream(&self) -> WatchStream {
        self.hub
            .stream(StreamOptions { progress_interval: Duration::from_secs(10), ..StreamOptions::default() })
    }
}

fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() }
}

fn everything(start_revision: i64) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { range_end: vec![0].into(), start_revision, ..Default::default() }
}

fn create(stream: &mut WatchStream, request: pb::WatchCreateRequest) {
    stream.handle(pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(request)) });
}

fn request_progress(stream: &mut WatchStream) {
    let request = RequestUnion::ProgressRequest(pb::WatchProgressRequest::default());
    stream.handle(pb::WatchRequest { request_union: Some(request) });
}

/// `id created`, `id canceled …`, `id progress @rev`, or `id rev:+key -key`, the next response in one line.
async fn next(stream: &mut WatchStream) -> String {
    describe(&stream.next().await)
}

fn describe(response: &pb::WatchResponse) -> String {
    let (id, revision) = (response.watch_id, response.header.as_ref().expect("a header").revision);
    if response.canceled {
        let created = if response.created { "created " } else { "" };
        return format!(
            "{id} {created}canceled compact={} {}",
            response.compact_revision, response.cancel_reason
        );
    }
    if response.created {
        return format!("{id} created @{revision}");
    }
    if response.events.is_empty() {
        return format!("{id} progress @{revision}");
    }
    let events: Vec<String> = response
        .events
        .iter()
        .map(|event| {
            let kv = event.kv.as_ref().expect("a key");
            let sign = if event.r#type == 0 { '+' } else { '-' };
            let prev = event
                .prev_kv
                .as_ref()
                .map(|prev| format!("(was {})", prev.value.escape_ascii()))
                .unwrap_or_default();
            format!("{}:{sign}{}{prev}", kv.mod_revision, kv.key.escape_ascii())
        })
        .collect();
    format!("{id} {} @{revision}", events.join(" "))
}

/// Whether nothing comes for five seconds of the paused clock.
async fn silent(stream: &mut WatchStream) -> bool {
    tokio::time::timeout(Duration::from_secs(5), stream.next()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn created_comes_first_and_each_revision_is_whole() {
    let mut store = Store::new();
    let mut stream = store.stream();
    create(&mut stream, everything(0));
    store.put_together(&["a", "b"]);
    store.delete("a");
    assert_eq!(next(&mut stream).await, "0 created @1");
    assert_eq!(next(&mut stream).await, "0 2:+a 2:+b 3:-a @3");
    assert!(silent(&mut stream).await);
}

#[tokio::test(start_paused = true)]
async fn ids_are_given_or_chosen_and_refusals_say_why() {
    let store = Store::new();
    let mut stream = store.stream();
    create(&mut stream, pb::WatchCreateRequest { watch_id: 1, ..everything(0) });
    create(&mut stream, everything(0));
    create(&mut stream, everything(0));
    create(&mut stream, pb::WatchCreateRequest { watch_id: 2, ..everything(0) });
    create(
        &mut stream,
        pb::WatchCreateRequest { key: "b".into(), range_end: "a".into(), ..Default::default() },
    );
    create(&mut stream, everything(-1));
    assert_eq!(next(&mut stream).await, "1 created @1");
    assert_eq!(next(&mut stream).await, "0 created @1");
    assert_eq!(next(&mut stream).await, "2 created @1");
    let refused = "-1 created canceled compact=0 mvcc:";
    assert_eq!(next(&mut stream).await, format!("{refused} duplicate watch ID provided on the WatchStream"));
    assert_eq!(next(&mut stream).await, format!("{refused} watcher range is empty"));
    assert_eq!(next(&mut stream).await, format!("{refused} required revision has been compacted"));
    let cancel = |watch_id| pb::WatchRequest {
        request_union: Some(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id })),
    };
    stream.handle(cancel(77));
    stream.handle(cancel(1));
    assert_eq!(next(&mut stream).await, "1 canceled compact=0 ");
    assert_eq!(stream.watcher_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn filters_and_previous_values() {
    let mut store = Store::new();
    let mut stream = store.stream();
    create(&mut stream, pb::WatchCreateRequest { filters: vec![0], ..everything(0) });
    create(&mut stream, pb::WatchCreateRequest { filters: vec![1], prev_kv: true, ..everything(0) });
    assert_eq!(next(&mut stream).await, "0 created @1");
    assert_eq!(next(&mut stream).await, "1 created @1");
    store.put("a", "old");
    assert_eq!(next(&mut stream).await, "1 2:+a @2");
    store.put("a", "new");
    assert_eq!(next(&mut stream).await, "1 3:+a(was old) @3");
    store.delete("a");
    assert_eq!(next(&mut stream).await, "0 4:-a @4");
    assert!(silent(&mut stream).await);
}

/// Row 4: a progress notification at R comes after every event at or before R (etcd #15220).
#[tokio::test(start_paused = true)]
async fn progress_never_overtakes_events() {
    let mut store = Store::new();
    let mut stream = store.stream();
    create(&mut stream, everything(0));
    store.put("a", "1");
    request_progress(&mut stream);
    store.put("a", "2");
    request_progress(&mut stream);
    assert_eq!(next(&mut stream).await, "0 created @1");
    assert_eq!(next(&mut stream).await, "0 2:+a @2");
    assert_eq!(next(&mut stream).await, "-1 progress @2");
    assert_eq!(next(&mut stream).await, "0 3:+a @3");
    assert_eq!(next(&mut stream).await, "-1 progress @3");
}

#[tokio::test(start_paused = true)]
async fn progress_is_not_answered_while_a_watcher_is_behind_or_not_started() {
    let mut store = Store::new();
    for at in 0..HUB_HISTORY_REVISIONS + 10 {
        store.put("a", &at.to_string());
    }
    let mut stream = store.stream();
    request_progress(&mut stream);
    create(&mut stream, everything(2));
    request_progress(&mut stream);
    assert!(next(&mut stream).await.starts_with("0 created"));
    let mut expected = 2;
    while expected <= store.hub.revision() {
        let response = stream.next().await;
        assert!(!response.events.is_empty(), "progress before {expected}");
        for event in response.events {
            assert_eq!(event.kv.expect("a key").mod_revision, expected);
            expected += 1;
        }
    }
    create(&mut stream, everything(store.hub.revision() + 1));
    request_progress(&mut stream);
    assert!(next(&mut stream).await.starts_with("1 created"));
    assert!(silent(&mut stream).await);
}

#[tokio::test(start_paused = true)]
async fn an_idle_watcher_hears_of_progress_and_a_busy_one_does_not() {
    let mut store = Store::new();
    let mut stream = store.stream();
    create(
        &mut stream,
        pb::WatchCreateRequest { key: "a".into(), progress_notify: true, ..Default::default() },
    );
    assert_eq!(next(&mut stream).await, "0 created @1");
    store.put("b", "1");
    assert_eq!(next(&mut stream).await, "0 progress @2");
    store.put("a", "1");
    assert_eq!(next(&mut stream).await, "0 3:+a @3");
    assert!(silent(&mut stream).await && silent(&mut stream).await, "one interval passes in silence");
    assert_eq!(next(&mut stream).await, "0 progress @3");
}

/// Row 6: a stream that is not read loses no event, or is told that history is gone (etcd #17529).
#[tokio::test(start_paused = true)]
async fn a_stalled_stream_catches_up_without_a_gap() {
    let mut store = Store::new();
    let mut stream = store.stream();
    create(&mut stream, everything(0));
    let writes = (STREAM_INBOX_EVENTS + HUB_HISTORY_REVISIONS + 500) as i64;
    for at in 0..writes {
        store.put("a", &at.to_string());
    }
    assert_eq!(next(&mut stream).await, "0 created @1");
    let mut expected = 2;
    while expected <= writes + 1 {
        for event in stream.next().await.events {
            assert_eq!(event.kv.expect("a key").mod_revision, expected);
            expected += 1;
        }
    }
    store.put("a", "last");
    assert_eq!(next(&mut stream).await, format!("0 {0}:+a @{0}", writes + 2));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_is_told_when_history_is_gone() {
    let mut store = Store::new();
    let mut stream = store.stream();
    create(&mut stream, everything(0));
    for at in 0..STREAM_INBOX_EVENTS + HUB_HISTORY_REVISIONS + 500 {
        store.put("a", &at.to_string());
    }
    let compacted = store.hub.revision() - 10;
    store.compact(compacted);
    assert_eq!(next(&mut stream).await, "0 created @1");
    let mut last = 1;
    loop {
        let response = stream.next().await;
        if response.canceled {
            assert_eq!(response.compact_revision, compacted);
            break;
        }
        for event in response.events {
            last += 1;
            assert_eq!(event.kv.expect("a key").mod_revision, last);
        }
    }
    assert!(last < compacted);
}

/// What is read from the disk is answered with the revision of the store, as stock does.
#[tokio::test(start_paused = true)]
async fn history_comes_with_the_revision_of_the_store() {
    let mut store = Store::new();
    store.put("a", "1");
    for at in 0..HUB_HISTORY_REVISIONS + 10 {
        store.put("b", &at.to_string());
    }
    let now = store.hub.revision();
    let mut stream = store.stream();
    create(&mut stream, pb::WatchCreateRequest { key: "a".into(), start_revision: 2, ..Default::default() });
    assert_eq!(next(&mut stream).await, format!("0 created @{now}"));
    assert_eq!(next(&mut stream).await, format!("0 2:+a @{now}"));
    store.put("a", "2");
    assert_eq!(next(&mut stream).await, format!("0 {}:+a @{}", now + 1, now + 1));
}

/// Row 8: a delete at exactly the compact revision is still seen by a watch from there (etcd #18089, #19179).
#[tokio::test(start_paused = true)]
async fn a_delete_at_the_compact_revision_is_seen() {
    let mut store = Store::new();
    store.put("a", "1");
    store.delete("a");
    store.put("b", "1");
    store.compact(3);
    store.hub.mvcc().compaction_removed(3).await;
    // A hub without history, as after a restart.
    store.hub.restored(store.hub.revision());
    let mut stream = store.stream();
    create(&mut stream, pb::WatchCreateRequest { prev_kv: true, ..everything(3) });
    assert_eq!(next(&mut stream).await, "0 created @4");
    assert_eq!(next(&mut stream).await, "0 3:-a 4:+b @4");
    create(&mut stream, everything(2));
    assert_eq!(next(&mut stream).await, "1 created @4");
    assert_eq!(next(&mut stream).await, "1 canceled compact=3 ");
}

/// Rows 5 and 9: replacing the state shows no watcher an old revision (etcd #15271, #20221).
#[tokio::test(start_paused = true)]
async fn a_replaced_state_repeats_nothing() {
    let mut leader = Store::new();
    let mut follower = Store::new();
    for store in [&mut leader, &mut follower] {
        store.put("a", "1");
        store.put("a", "2");
    }
    let mut stream = follower.stream();
    create(&mut stream, everything(0));
    create(&mut stream, everything(6));
    create(&mut stream, everything(2));
    for want in ["0 created @3", "1 created @3", "2 created @3", "2 2:+a 3:+a @3"] {
        assert_eq!(next(&mut stream).await, want);
    }
    leader.put("b", "4");
    leader.put("b", "5");
    let dir = tempfile::tempdir().expect("a temporary folder");
    leader.applier.checkpoint(&dir.path().join("checkpoint")).expect("checkpoints");
    follower.applier.install(&dir.path().join("checkpoint")).expect("installs");
    follower.log_index = leader.log_index;
    assert_eq!(next(&mut stream).await, "0 4:+b 5:+b @5");
    assert_eq!(next(&mut stream).await, "2 4:+b 5:+b @5");
    follower.put("c", "6");
    let mut last = vec![next(&mut stream).await, next(&mut stream).await, next(&mut stream).await];
    last.sort();
    assert_eq!(last, ["0 6:+c @6", "1 6:+c @6", "2 6:+c @6"]);
}
