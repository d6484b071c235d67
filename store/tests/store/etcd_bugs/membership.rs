//! Who belongs to the cluster, through restarts and snapshots.

use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
};

use crate::harness::{Cluster, eventually, local_url};

const BOUND: Duration = Duration::from_secs(30);

async fn add_learner(cluster: &Cluster, asked: usize) -> Member {
    let request = MemberAddRequest { peer_ur_ls: vec![local_url().to_string()], is_learner: true };
    cluster.members(asked).member_add(request).await.unwrap().into_inner().member.unwrap()
}

async fn ids(cluster: &Cluster, asked: usize) -> Vec<u64> {
    let request = MemberListRequest { linearizable: true };
    let members = cluster.members(asked).member_list(request).await.unwrap().into_inner().members;
    members.iter().map(|member| member.id).collect()
}

/// 15096: a learner that was never started could be promoted, which cost the majority.
#[test]
fn bug_15096_who_never_started_is_not_promoted() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        let learner = add_learner(cluster, 0).await;
        let promote = MemberPromoteRequest { id: learner.id };
        let refused = cluster.members(0).member_promote(promote).await.unwrap_err();
        let text = "etcdserver: can only promote a learner member which is in sync with leader";
        assert_eq!(refused.message(), text);
        cluster.put(0, "a", "1").await.unwrap();
    });
}

/// 20967: members that had been removed long ago were back after a restart, or on a member that a snapshot brought up.
#[test]
fn bug_20967_who_was_removed_does_not_come_back() {
    let mut cluster = Cluster::start_linked(3, |config| config.snapshot_count = 40);
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    let gone = cluster.block_on(async |cluster| {
        let gone = add_learner(cluster, leader).await.id;
        cluster.link(behind).cut();
        cluster.members(leader).member_remove(MemberRemoveRequest { id: gone }).await.unwrap();
        // Until the log does not know of the removal any more.
        for i in 0..300 {
            cluster.put(leader, "k", &i.to_string()).await.unwrap();
        }
        cluster.link(behind).heal();
        eventually("the member that was cut off has the last write", BOUND, async || {
            cluster.get(behind, "k", true).await.is_ok_and(|value| value.as_deref() == Some("299"))
        })
        .await;
        assert_eq!(ids(cluster, behind).await.len(), 3);
        gone
    });
    for member in 0..3 {
        cluster.kill(member);
    }
    cluster.restart_both(behind, leader).unwrap();
    cluster.block_on(async |cluster| {
        for member in [behind, leader] {
            let ids = ids(cluster, member).await;
            assert!(ids.len() == 3 && !ids.contains(&gone), "{gone:x} is among {ids:x?}");
        }
    });
}
