//! Leases through the change of a leader.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest,
};

use crate::harness::{Cluster, eventually};

const BOUND: Duration = Duration::from_secs(20);

async fn keep_alive(cluster: &Cluster, member: usize, id: i64) -> Option<i64> {
    let requests = futures::stream::iter([LeaseKeepAliveRequest { id }]);
    let mut answers = cluster.leases(member).lease_keep_alive(requests).await.ok()?.into_inner();
    Some(answers.message().await.ok()??.ttl)
}

async fn time_to_live(cluster: &Cluster, member: usize, id: i64) -> Option<i64> {
    let request = LeaseTimeToLiveRequest { id, keys: false };
    Some(cluster.leases(member).lease_time_to_live(request).await.ok()?.into_inner().ttl)
}

/// 20615: a lease could be kept alive after it was revoked.
#[test]
fn bug_20615_a_revoked_lease_stays_revoked() {
    let cluster = Cluster::start(3, |_| {});
    cluster.block_on(async |cluster| {
        for member in 0..3 {
            let grant = LeaseGrantRequest { ttl: 60, id: 0 };
            let id = cluster.leases(member).lease_grant(grant).await.unwrap().into_inner().id;
            cluster.leases(member).lease_revoke(LeaseRevokeRequest { id }).await.unwrap();
            for asked in 0..3 {
                assert_eq!(keep_alive(cluster, asked, id).await, Some(0), "no time to live is left");
                assert_eq!(time_to_live(cluster, asked, id).await, Some(-1));
            }
        }
    });
}

/// 17704 and 13508: after a change of leader a lease had a wrong time to live, or was over at once.
#[test]
fn bug_17704_a_new_leader_gives_a_lease_its_whole_time() {
    let mut cluster = Cluster::start(3, |_| {});
    let leader = cluster.leader();
    let survivor = (leader + 1) % 3;
    let id = cluster.block_on(async |cluster| {
        let grant = LeaseGrantRequest { ttl: 60, id: 0 };
        cluster.leases(leader).lease_grant(grant).await.unwrap().into_inner().id
    });
    cluster.kill(leader);
    cluster.block_on(async |cluster| {
        eventually("the new leader knows the lease", BOUND, async || {
            time_to_live(cluster, survivor, id).await.is_some_and(|ttl| (55..=62).contains(&ttl))
        })
        .await;
        assert_eq!(keep_alive(cluster, survivor, id).await, Some(60));
    });
}

/// 13932: a keep-alive right behind the grant, asked of another member, did not find the lease. 14239: negative ids.
#[test]
fn bug_13932_and_14239_a_granted_lease_is_there() {
    let cluster = Cluster::start(3, |_| {});
    let leader = cluster.leader();
    cluster.block_on(async |cluster| {
        for round in 0..30 {
            let (granting, asked) = (round % 3, (round + 1) % 3);
            let grant = LeaseGrantRequest { ttl: 60, id: 0 };
            let id = cluster.leases(granting).lease_grant(grant).await.unwrap().into_inner().id;
            assert!(id > 0, "the server picks positive ids");
            assert_eq!(keep_alive(cluster, asked, id).await, Some(60), "round {round}");
        }
        let grant = LeaseGrantRequest { ttl: 60, id: -7 };
        assert_eq!(cluster.leases(leader).lease_grant(grant).await.unwrap().into_inner().id, -7);
        assert_eq!(keep_alive(cluster, (leader + 1) % 3, -7).await, Some(60));
        cluster.leases(leader).lease_revoke(LeaseRevokeRequest { id: -7 }).await.unwrap();
    });
}
