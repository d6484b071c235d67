//! Whole members in this process, over loopback ports: what a cluster promises while members come and go.

mod membership;
mod pages;
mod sockets;
mod tls;

use std::time::{Duration, Instant};

use crate::harness::{self, Cluster, eventually};
use balsa_proto::etcd::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, MemberListRequest, PutRequest, StatusRequest,
    WatchCreateRequest, WatchRequest, watch_request::RequestUnion,
};
use futures::StreamExt;

#[test]
fn a_lone_member_serves_at_once_and_keeps_its_data() {
    let started = Instant::now();
    let mut cluster = Cluster::start(1, |_| {});
    let ready_after = started.elapsed();
    assert!(ready_after < Duration::from_millis(900), "ready after {ready_after:?}");
    cluster.block_on(async |cluster| {
        let revision = cluster.put(0, "a", "1").await.unwrap();
        assert_eq!(revision, 2, "a fresh store is at revision 1");
    });
    cluster.kill(0);
    cluster.restart(0);
    cluster.block_on(async |cluster| {
        assert_eq!(cluster.get(0, "a", false).await.unwrap().as_deref(), Some("1"));
        assert_eq!(cluster.put(0, "b", "2").await.unwrap(), 3);
    });
}

#[test]
fn every_member_takes_writes_and_reads() {
    let cluster = Cluster::start(3, |_| {});
    cluster.block_on(async |cluster| {
        for member in 0..3 {
            let key = format!("from-{member}");
            cluster.put(member, &key, "x").await.unwrap();
            for reader in 0..3 {
                // Linearizable: whoever is asked has it.
                assert_eq!(cluster.get(reader, &key, false).await.unwrap().as_deref(), Some("x"));
            }
        }
        let members = cluster.members(1).member_list(MemberListRequest { linearizable: true }).await.unwrap();
        let members = members.into_inner().members;
        assert_eq!(members.len(), 3);
        assert!(
            members.iter().all(|member| !member.name.is_empty() && member.client_ur_ls.len() == 1),
            "{members:?}"
        );
    });
}

/// Whoever was answered by a member reads there what it wrote, without asking the others.
#[test]
fn a_client_of_a_follower_reads_what_it_wrote() {
    let cluster = Cluster::start(3, |_| {});
    let follower = (cluster.leader() + 1) % 3;
    cluster.block_on(async |cluster| {
        for i in 0..200 {
            let value = i.to_string();
            cluster.put(follower, "k", &value).await.unwrap();
            assert_eq!(cluster.get(follower, "k", true).await.unwrap(), Some(value));
        }
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_the_leader_dies() {
    let mut cluster = Cluster::start(3, |_| {});
    let mut acknowledged = Vec::new();
    cluster.block_on(async |cluster| {
        for i in 0..50 {
            let key = format!("before-{i}");
            cluster.put(i % 3, &key, "x").await.unwrap();
            acknowledged.push(key);
        }
    });
    let leader = cluster.leader();
    cluster.kill(leader);
    let survivor = (leader + 1) % 3;
    let killed = Instant::now();
    cluster.block_on(async |cluster| {
        eventually("a write after the leader's death", Duration::from_secs(10), async || {
            cluster.put(survivor, "after", "x").await.is_ok()
        })
        .await;
    });
    println!("writes went on after {:?}", killed.elapsed());
    acknowledged.push("after".to_owned());
    cluster.restart(leader);
    cluster.block_on(async |cluster| {
        for member in 0..3 {
            for key in &acknowledged {
                eventually(key, Duration::from_secs(10), async || {
                    cluster.get(member, key, true).await.is_ok_and(|value| value.as_deref() == Some("x"))
                })
                .await;
            }
        }
        assert_eq!(cluster.get(leader, "after", false).await.unwrap().as_deref(), Some("x"));
    });
}

#[test]
fn five_members_go_on_without_two() {
    let mut cluster = Cluster::start(5, |_| {});
    let leader = cluster.leader();
    cluster.block_on(async |cluster| {
        for member in 0..5 {
            cluster.put(member, &format!("before-{member}"), "x").await.unwrap();
        }
    });
    let (other, survivor) = ((leader + 1) % 5, (leader + 2) % 5);
    cluster.kill(leader);
    cluster.kill(other);
    cluster.block_on(async |cluster| {
        eventually("a write after two deaths", Duration::from_secs(10), async || {
            cluster.put(survivor, "after", "x").await.is_ok()
        })
        .await;
        for member in 0..5 {
            let value = cluster.get(survivor, &format!("before-{member}"), false).await.unwrap();
            assert_eq!(value.as_deref(), Some("x"));
        }
    });
    cluster.restart(leader);
    cluster.restart(other);
    cluster.block_on(async |cluster| {
        for member in [leader, other] {
            assert_eq!(cluster.get(member, "after", false).await.unwrap().as_deref(), Some("x"));
        }
    });
}

#[test]
fn a_member_behind_the_purged_log_gets_a_snapshot() {
    let mut cluster = Cluster::start(3, |config| config.snapshot_count = 40);
    let behind = (cluster.leader() + 1) % 3;
    cluster.kill(behind);
    let writer = cluster.leader();
    cluster.block_on(async |cluster| {
        for i in 0..400 {
            cluster.put(writer, &format!("k{i:03}"), "x").await.unwrap();
        }
    });
    cluster.restart(behind);
    cluster.block_on(async |cluster| {
        for i in [0, 199, 399] {
            eventually("the key on the member that was behind", Duration::from_secs(20), async || {
                let value = cluster.get(behind, &format!("k{i:03}"), true).await;
                value.is_ok_and(|value| value.as_deref() == Some("x"))
            })
            .await;
        }
        // Counted a moment after its state is readable.
        eventually("a snapshot is counted", Duration::from_secs(10), async || {
            cluster.snapshots_received(behind).await == 1
        })
        .await;
        cluster.put(behind, "again", "x").await.unwrap();
    });
    // What came by snapshot must also survive a restart.
    cluster.kill(behind);
    cluster.restart(behind);
    cluster.block_on(async |cluster| {
        assert_eq!(cluster.get(behind, "k000", false).await.unwrap().as_deref(), Some("x"));
    });
}

#[test]
fn leases_are_renewed_through_followers_and_end_by_themselves() {
    let cluster = Cluster::start(3, |_| {});
    let follower = (cluster.leader() + 1) % 3;
    cluster.block_on(async |cluster| {
        let grant = cluster.leases(follower).lease_grant(LeaseGrantRequest { ttl: 2, id: 0 }).await.unwrap();
        let lease = grant.into_inner();
        assert!(lease.id > 0 && lease.ttl == 2);
        let put =
            PutRequest { key: "leased".into(), value: "x".into(), lease: lease.id, ..Default::default() };
        cluster.kv(follower).put(put).await.unwrap();
        let renewals =
            futures::stream::iter([LeaseKeepAliveRequest { id: lease.id }, LeaseKeepAliveRequest { id: 77 }]);
        let mut renewed = cluster.leases(follower).lease_keep_alive(renewals).await.unwrap().into_inner();
        assert_eq!(renewed.next().await.unwrap().unwrap().ttl, 2);
        assert_eq!(renewed.next().await.unwrap().unwrap().ttl, 0, "an unknown lease has no time to live");
        eventually("the lease ends", Duration::from_secs(15), async || {
            cluster.get(follower, "leased", false).await.is_ok_and(|value| value.is_none())
        })
        .await;
    });
}

#[test]
fn a_watch_on_a_follower_hears_every_write_in_order() {
    let cluster = Cluster::start(3, |_| {});
    let follower = (cluster.leader() + 1) % 3;
    cluster.block_on(async |cluster| {
        let create = WatchCreateRequest { key: "w".into(), range_end: "x".into(), ..Default::default() };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = futures::stream::iter([request]).chain(futures::stream::pending());
        let mut events = cluster.watches(follower).watch(requests).await.unwrap().into_inner();
        let created = events.next().await.unwrap().unwrap();
        assert!(created.created && created.header.unwrap().member_id != 0);
        for i in 0..20 {
            cluster.put(i % 3, &format!("w{i:02}"), "x").await.unwrap();
        }
        let mut keys = Vec::new();
        while keys.len() < 20 {
            let response = events.next().await.unwrap().unwrap();
            keys.extend(response.events.into_iter().map(|event| event.kv.unwrap().key));
        }
        let want: Vec<String> = (0..20).map(|i| format!("w{i:02}")).collect();
        assert_eq!(keys, want);
    });
}

#[test]
fn without_a_majority_there_is_no_leader_and_nothing_is_acknowledged() {
    let mut cluster = Cluster::start(3, |_| {});
    let leader = cluster.leader();
    cluster.block_on(async |cluster| cluster.put(leader, "a", "1").await.unwrap());
    cluster.kill((leader + 1) % 3);
    cluster.kill((leader + 2) % 3);
    cluster.block_on(async |cluster| {
        eventually("the leader notices", Duration::from_secs(10), async || {
            let status = cluster.maintenance(leader).status(StatusRequest {}).await.unwrap().into_inner();
            status.leader == 0
        })
        .await;
        let mut request = tonic::Request::new(PutRequest { key: "b".into(), ..Default::default() });
        request.metadata_mut().insert("hasleader", "true".parse().unwrap());
        let refused = cluster.kv(leader).put(request).await.unwrap_err();
        assert_eq!(refused.message(), "etcdserver: no leader");
        assert_eq!(
            cluster.get(leader, "a", true).await.unwrap().as_deref(),
            Some("1"),
            "serializable reads go on"
        );
        let timed_out = cluster.put(leader, "b", "2").await.unwrap_err();
        assert_eq!(timed_out.message(), "etcdserver: request timed out");
    });
}

#[test]
fn a_data_directory_belongs_to_one_member_of_one_cluster() {
    let mut cluster = Cluster::start(1, |_| {});
    let config = cluster.config(0);
    let taken = harness::run_to_error(config.clone());
    assert!(taken.contains("cannot be listened on"), "{taken}");

    let mut twin = config.clone();
    for url in twin.listen_client_urls.iter_mut().chain(&mut twin.listen_peer_urls) {
        *url = harness::local_url();
    }
    let in_use = harness::run_to_error(twin.clone());
    assert!(in_use.contains("is in use by another process"), "{in_use}");

    cluster.kill(0);
    // The directory says who it is; the log must agree with it.
    std::fs::write(config.data_dir.join("member/id"), "1 2\n").unwrap();
    // The threads of a killed member may hold its files for a moment longer.
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let foreign = loop {
        let error = harness::run_to_error(twin.clone());
        if !error.contains("is in use by another process") || std::time::Instant::now() > patience {
            break error;
        }
    };
    assert!(foreign.contains("belongs to member"), "{foreign}");
}
