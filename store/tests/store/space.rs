//! A store that is full, and members that disagree: what the alarms do, and the way out.

use std::time::Duration;

use crate::harness::{Cluster, eventually};
use balsa_proto::etcd::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, DefragmentRequest, DeleteRangeRequest, HashKvRequest,
    LeaseGrantRequest, PutRequest, RequestOp, StatusRequest, TxnRequest, request_op::Request,
};
use tonic::Code;

const QUOTA_BYTES: i64 = 16 << 20;
const GET: i32 = 0;
const DEACTIVATE: i32 = 2;

fn put(key: &str, bytes: usize) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: vec![b'x'; bytes].into(), ..Default::default() }
}

/// etcd #14254: at the quota, deletes must work, since they are the way out.
#[test]
fn bug_14254_a_full_store_is_emptied_by_delete_compact_defragment_and_disarm() {
    let cluster = Cluster::start(3, |config| config.maintenance.quota_backend_bytes = QUOTA_BYTES);
    let leader = cluster.leader();
    cluster.block_on(async |cluster| {
        let mut refused = None;
        for number in 0..40 {
            if let Err(status) = cluster.kv(1).put(put(&format!("k{number:02}"), 1_000_000)).await {
                refused = Some(status);
                break;
            }
        }
        let refused = refused.expect("forty megabytes do not fit");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded")
        );

        let alarms = cluster.maintenance(2).alarm(AlarmRequest { action: GET, ..Default::default() }).await;
        let alarms = alarms.unwrap().into_inner().alarms;
        assert!(alarms.len() == 1 && alarms[0].alarm() == AlarmType::Nospace, "{alarms:?}");
        let status = cluster.maintenance(leader).status(StatusRequest {}).await.unwrap().into_inner();
        assert_eq!(status.errors, [format!("memberID:{} alarm:NOSPACE ", alarms[0].member_id)]);
        assert_eq!(status.db_size_quota, QUOTA_BYTES);

        let full = cluster.page(0, "/health").await;
        assert_eq!(full.trim(), r#"{"health":"false","reason":"ALARM NOSPACE"}"#);
        let excluded = cluster.page(0, "/health?exclude=NOSPACE").await;
        assert_eq!(excluded.trim(), r#"{"health":"true","reason":""}"#);

        // Whoever is asked: small or large, alone, in a transaction or nested in one.
        for member in 0..3 {
            assert_eq!(
                cluster.kv(member).put(put("small", 1)).await.unwrap_err().code(),
                Code::ResourceExhausted
            );
        }
        let nested = |inner: TxnRequest| RequestOp { request: Some(Request::RequestTxn(inner)) };
        let inner = TxnRequest {
            success: vec![RequestOp { request: Some(Request::RequestPut(put("small", 1))) }],
            ..Default::default()
        };
        let txn = TxnRequest { failure: vec![nested(inner)], ..Default::default() };
        assert_eq!(cluster.kv(0).txn(txn).await.unwrap_err().code(), Code::ResourceExhausted);
        let grant = cluster.leases(0).lease_grant(LeaseGrantRequest { ttl: 100, id: 0 }).await;
        assert_eq!(grant.unwrap_err().code(), Code::ResourceExhausted);

        let all = DeleteRangeRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
        let deleted = cluster.kv(0).delete_range(all).await.unwrap().into_inner();
        let revision = deleted.header.unwrap().revision;
        cluster.kv(0).compact(CompactionRequest { revision, physical: true }).await.unwrap();
        for member in 0..3 {
            // The other members remove in their own time.
            eventually("the space is given back", Duration::from_secs(20), async || {
                cluster.maintenance(member).defragment(DefragmentRequest {}).await.unwrap();
                let status = cluster.maintenance(member).status(StatusRequest {}).await.unwrap();
                status.into_inner().db_size < QUOTA_BYTES / 2
            })
            .await;
        }
        assert_eq!(
            cluster.kv(0).put(put("small", 1)).await.unwrap_err().code(),
            Code::ResourceExhausted,
            "until it is disarmed"
        );
        // Other members may have found themselves full as well.
        let alarms = cluster.maintenance(2).alarm(AlarmRequest { action: GET, ..Default::default() }).await;
        for raised in alarms.unwrap().into_inner().alarms {
            let disarm =
                AlarmRequest { action: DEACTIVATE, member_id: raised.member_id, alarm: raised.alarm };
            cluster.maintenance(0).alarm(disarm).await.unwrap();
        }
        for member in 0..3 {
            cluster.kv(member).put(put("small", 1)).await.unwrap();
        }
    });
}

/// What members answer of their histories is the same, whatever each has removed or rewritten.
#[test]
fn members_have_the_same_hash_at_every_revision() {
    let cluster = Cluster::start(3, |_| {});
    cluster.block_on(async |cluster| {
        for number in 0..30 {
            cluster.put(number % 3, &format!("k{}", number % 7), "v").await.unwrap();
        }
        cluster.kv(0).compact(CompactionRequest { revision: 20, physical: true }).await.unwrap();
        cluster.maintenance(1).defragment(DefragmentRequest {}).await.unwrap();
        for revision in [20, 25, 31] {
            let mut hashes = Vec::new();
            for member in 0..3 {
                // A linearizable read: the member has applied what it is asked about.
                cluster.get(member, "k0", false).await.unwrap();
                let hash = cluster.maintenance(member).hash_kv(HashKvRequest { revision }).await;
                let hash = hash.unwrap().into_inner();
                hashes.push((hash.hash, hash.compact_revision, hash.hash_revision));
            }
            assert!(hashes.iter().all(|hash| *hash == hashes[0] && hash.1 == 20), "{hashes:?}");
        }
    });
}

/// The numbers are what etcd 3.6.5 answered for the same history. At the compact revision it is the hash that was taken
/// before the compaction removed anything, above what was compacted before: nothing.
#[test]
fn hashes_are_those_of_stock() {
    let cluster = Cluster::start(3, |config| {
        config.maintenance.compact_hash_check_interval = Some(Duration::from_millis(200));
    });
    cluster.block_on(async |cluster| {
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
            cluster.put(0, key, value).await.unwrap();
        }
        cluster
            .kv(0)
            .delete_range(DeleteRangeRequest { key: "b".into(), ..Default::default() })
            .await
            .unwrap();
        cluster.put(0, "b", "4").await.unwrap();
        cluster.kv(0).compact(CompactionRequest { revision: 4, physical: true }).await.unwrap();
        for member in 0..3 {
            for (revision, hash, compact_revision) in
                [(5, 1_468_967_122, 4), (4, 2_069_675_932, -1), (-1, 1_084_519_789, 4)]
            {
                // The other members compact in their own time.
                eventually("the hash of stock", Duration::from_secs(20), async || {
                    let request = HashKvRequest { revision };
                    let answer = cluster.maintenance(member).hash_kv(request).await;
                    answer.is_ok_and(|answer| {
                        let answer = answer.into_inner();
                        (answer.hash, answer.compact_revision) == (hash, compact_revision)
                    })
                })
                .await;
            }
        }
        let status = cluster.maintenance(0).status(StatusRequest {}).await.unwrap().into_inner();
        assert_eq!(status.errors, Vec::<String>::new(), "nobody disagrees");
    });
}

/// A member whose data was changed behind its back is found out, and the cluster is told.
#[test]
fn a_member_with_other_data_raises_the_corrupt_alarm_or_does_not_start() {
    let mut cluster = Cluster::start(3, |config| {
        config.maintenance.corrupt_check_interval = Some(Duration::from_millis(500));
    });
    let damaged = (cluster.leader() + 1) % 3;
    cluster.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        cluster.get(damaged, "a", false).await.unwrap();
    });
    cluster.kill(damaged);
    crate::harness::change_a_value(&cluster.config(damaged).data_dir.join("member/state"));
    let mut checked = cluster.config(damaged);
    checked.maintenance.initial_corrupt_check = true;
    let error = crate::harness::run_to_error(checked);
    assert!(error.contains("found data inconsistency with peers"), "{error}");

    cluster.restart(damaged);
    cluster.block_on(async |cluster| {
        eventually("the alarm is raised", Duration::from_secs(20), async || {
            let status = cluster.maintenance(damaged).status(StatusRequest {}).await.unwrap().into_inner();
            status.errors.iter().any(|error| error.contains("alarm:CORRUPT"))
        })
        .await;
        let refused = cluster.put(0, "b", "2").await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::DataLoss, "etcdserver: corrupt cluster"));
        let ready = cluster.page(0, "/readyz").await;
        assert!(ready.contains("[-]data_corruption failed: alarm activated: CORRUPT"), "{ready}");
        let value = cluster.get((damaged + 1) % 3, "a", true).await.unwrap();
        assert_eq!(value.as_deref(), Some("1"), "reads go on");
    });
}

/// `balsactl verify` on members that agree, and on members that do not.
#[test]
fn verify_tells_who_disagrees() {
    let mut cluster = Cluster::start(3, |_| {});
    let damaged = (cluster.leader() + 1) % 3;
    cluster.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        for member in 0..3 {
            cluster.get(member, "a", false).await.unwrap();
        }
    });
    let verify = |cluster: &Cluster| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_balsactl"))
            .args(["--endpoints", &cluster.endpoint(0), "verify", "--cluster"])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = verify(&cluster);
    assert!(code == Some(0) && said.ends_with("the 3 members agree\n"), "{code:?} {said}");
    cluster.kill(damaged);
    crate::harness::change_a_value(&cluster.config(damaged).data_dir.join("member/state"));
    cluster.restart(damaged);
    let (code, said) = verify(&cluster);
    assert!(code == Some(1) && said.contains("DIFFER: hashes at one revision: "), "{code:?} {said}");
}
