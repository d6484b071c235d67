//! Members come, change and go while the cluster runs.

use std::time::Duration;

use crate::harness::{Cluster, eventually, local_url};
use balsa_proto::etcd::etcdserverpb::{
    LeaseGrantRequest, LeaseTimeToLiveRequest, Member, MemberAddRequest, MemberListRequest,
    MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest, MoveLeaderRequest, RangeRequest,
    StatusRequest,
};
use balsa_store::config::Url;
use tonic::{Code, Status};

async fn add(cluster: &Cluster, asked: usize, url: &Url, is_learner: bool) -> Result<Member, Status> {
    let request = MemberAddRequest { peer_ur_ls: vec![url.to_string()], is_learner };
    let response = cluster.members(asked).member_add(request).await?.into_inner();
    let member = response.member.unwrap();
    assert!(response.members.contains(&member), "the list has the new member");
    Ok(member)
}

async fn remove(cluster: &Cluster, asked: usize, id: u64) -> Result<Vec<Member>, Status> {
    Ok(cluster.members(asked).member_remove(MemberRemoveRequest { id }).await?.into_inner().members)
}

async fn list(cluster: &Cluster, asked: usize) -> Vec<Member> {
    let list = cluster.members(asked).member_list(MemberListRequest { linearizable: true }).await.unwrap();
    list.into_inner().members
}

async fn id_of(cluster: &Cluster, member: usize) -> u64 {
    let status = cluster.maintenance(member).status(StatusRequest {}).await.unwrap().into_inner();
    status.header.unwrap().member_id
}

fn text<T>(result: Result<T, Status>) -> String {
    result.err().map_or_else(|| "done".to_owned(), |status| status.message().to_owned())
}

#[test]
fn a_lone_member_grows_to_three_and_shrinks_again() {
    let mut cluster = Cluster::start(1, |config| config.snapshot_count = 20);
    cluster.block_on(async |cluster| {
        // Enough that the log no longer begins at its beginning: who joins gets a snapshot.
        for i in 0..100 {
            cluster.put(0, &format!("k{i:02}"), "x").await.unwrap();
        }
    });
    for name in ["m1", "m2"] {
        let url = local_url();
        let added = cluster.block_on(async |cluster| add(cluster, 0, &url, false).await.unwrap());
        assert!(added.name.is_empty() && !added.is_learner, "{added:?}");
        let joined = cluster.join(name, &url, |_| {});
        cluster.ready(joined).unwrap();
        cluster.block_on(async |cluster| {
            assert_eq!(id_of(cluster, joined).await, added.id);
            assert_eq!(cluster.get(joined, "k00", false).await.unwrap().as_deref(), Some("x"));
            cluster.put(joined, name, "x").await.unwrap();
        });
    }
    // Each of them counts now: without one of three it goes on, and the others know everything.
    cluster.block_on(async |cluster| {
        eventually("all three vote", Duration::from_secs(10), async || {
            let metrics = cluster.page(0, "/debug/vars").await;
            metrics.contains("\"voters\": 3")
        })
        .await;
    });
    cluster.kill(0);
    cluster.block_on(async |cluster| {
        eventually("a write without the first member", Duration::from_secs(10), async || {
            cluster.put(1, "without", "x").await.is_ok()
        })
        .await;
        assert_eq!(cluster.get(2, "m1", false).await.unwrap().as_deref(), Some("x"));
        let members = list(cluster, 2).await;
        let dead = members.iter().find(|member| member.name == "m0").unwrap().id;
        assert_eq!(remove(cluster, 1, dead).await.unwrap().len(), 2);
    });
    // It missed its removal, and hears of it when it comes back.
    cluster.restart_with(0, |_| {}).unwrap();
    cluster.block_on(async |cluster| {
        assert!(cluster.put(0, "pretends", "x").await.is_err(), "it has ended");
        assert_eq!(list(cluster, 1).await.len(), 2);
    });
}

#[test]
fn bug_21736_changes_are_judged_as_etcd_does() {
    let cluster = Cluster::start(3, |_| {});
    let follower = (cluster.leader() + 1) % 3;
    cluster.block_on(async |cluster| {
        let url = local_url();
        let known = cluster.config(0).listen_peer_urls[0].clone();
        let own = id_of(cluster, follower).await;
        assert_eq!(text(add(cluster, follower, &known, false).await), "etcdserver: Peer URLs already exists");
        let bad = MemberAddRequest { peer_ur_ls: vec!["nonsense".into()], is_learner: false };
        let refused = cluster.members(follower).member_add(bad).await;
        assert_eq!(text(refused), "etcdserver: given member URLs are invalid");

        let learner = add(cluster, follower, &url, true).await.unwrap();
        let second = add(cluster, follower, &local_url(), true).await;
        assert_eq!(text(second), "etcdserver: too many learner members in cluster");

        let promote =
            async |id| text(cluster.members(follower).member_promote(MemberPromoteRequest { id }).await);
        assert_eq!(promote(own).await, "etcdserver: can only promote a learner member");
        assert_eq!(promote(77).await, "etcdserver: member not found");
        assert_eq!(
            promote(learner.id).await,
            "etcdserver: can only promote a learner member which is in sync with leader"
        );

        let update = async |id, url: &Url| {
            let request = MemberUpdateRequest { id, peer_ur_ls: vec![url.to_string()] };
            text(cluster.members(follower).member_update(request).await)
        };
        assert_eq!(update(77, &local_url()).await, "etcdserver: member not found");
        assert_eq!(update(learner.id, &known).await, "etcdserver: Peer URLs already exists");
        let elsewhere = local_url();
        assert_eq!(update(learner.id, &elsewhere).await, "done");
        let updated =
            list(cluster, follower).await.into_iter().find(|member| member.id == learner.id).unwrap();
        assert_eq!(updated.peer_ur_ls, [elsewhere.to_string()]);
        assert!(updated.is_learner, "an update does not promote (etcd #21736)");

        assert_eq!(text(remove(cluster, follower, 77).await), "etcdserver: member not found");
        assert_eq!(text(remove(cluster, follower, learner.id).await), "done");
        assert_eq!(text(remove(cluster, follower, learner.id).await), "etcdserver: member not found");
        assert_eq!(list(cluster, follower).await.len(), 3);
    });
}

#[test]
fn the_last_member_stays() {
    let cluster = Cluster::start(1, |config| config.strict_reconfig_check = false);
    cluster.block_on(async |cluster| {
        let own = id_of(cluster, 0).await;
        let refused = remove(cluster, 0, own).await;
        assert_eq!(text(refused), "etcdserver: re-configuration failed due to not enough started members");
        cluster.put(0, "a", "1").await.unwrap();
    });
}

#[test]
fn one_that_never_starts_costs_no_majority() {
    let mut cluster = Cluster::start(1, |_| {});
    let id = cluster.block_on(async |cluster| {
        let id = add(cluster, 0, &local_url(), false).await.unwrap().id;
        cluster.put(0, "a", "1").await.unwrap();
        let third = add(cluster, 0, &local_url(), false).await;
        assert_eq!(text(third), "etcdserver: re-configuration failed due to not enough started members");
        id
    });
    cluster.kill(0);
    cluster.restart(0);
    cluster.block_on(async |cluster| {
        cluster.put(0, "b", "1").await.unwrap();
        remove(cluster, 0, id).await.unwrap();
        assert_eq!(list(cluster, 0).await.len(), 1);
    });
}

#[test]
fn a_lone_voter_goes_on_whatever_its_learner_does() {
    let cluster = Cluster::start(1, |_| {});
    cluster.block_on(async |cluster| {
        // The end of a lease needs a leader, and comes after a longer silence than any that a leader bears.
        let lease = LeaseGrantRequest { ttl: 1, id: 7 };
        cluster.leases(0).lease_grant(lease).await.unwrap();
        add(cluster, 0, &local_url(), true).await.unwrap();
        eventually("the end of the lease", Duration::from_secs(10), async || {
            let request = LeaseTimeToLiveRequest { id: 7, keys: false };
            let left = cluster.leases(0).lease_time_to_live(request).await;
            left.is_ok_and(|left| left.get_ref().ttl == -1)
        })
        .await;
        cluster.put(0, "a", "1").await.unwrap();
    });
}

#[test]
fn bug_19557_a_learner_serves_little_and_is_promoted_for_good() {
    let mut cluster = Cluster::start(1, |_| {});
    let url = local_url();
    let id = cluster.block_on(async |cluster| {
        cluster.put(0, "a", "1").await.unwrap();
        add(cluster, 0, &url, true).await.unwrap().id
    });
    let learner = cluster.join("m1", &url, |_| {});
    cluster.ready(learner).unwrap();
    cluster.block_on(async |cluster| {
        let refused = "etcdserver: rpc not supported for learner";
        assert_eq!(text(cluster.put(learner, "b", "1").await), refused);
        assert_eq!(text(cluster.get(learner, "a", false).await), refused);
        assert_eq!(cluster.get(learner, "a", true).await.unwrap().as_deref(), Some("1"));
        let listed = cluster.members(learner).member_list(MemberListRequest::default()).await;
        assert_eq!(text(listed), refused);
        let status = cluster.maintenance(learner).status(StatusRequest {}).await.unwrap().into_inner();
        assert!(status.is_learner);
        assert!(cluster.page(learner, "/readyz").await.contains("[-]non_learner failed"));
        let target = MoveLeaderRequest { target_id: id };
        let moved = cluster.maintenance(0).move_leader(target).await;
        assert_eq!(text(moved), "etcdserver: bad leader transferee");

        eventually("the promotion", Duration::from_secs(10), async || {
            cluster.members(0).member_promote(MemberPromoteRequest { id }).await.is_ok()
        })
        .await;
        // It hears of it a moment later itself.
        eventually("a write through it", Duration::from_secs(10), async || {
            cluster.put(learner, "b", "1").await.is_ok()
        })
        .await;
        let again = cluster.members(0).member_promote(MemberPromoteRequest { id }).await;
        assert_eq!(text(again), "etcdserver: can only promote a learner member");
    });
    // etcd #19557: both still know after a restart.
    for member in [0, learner] {
        cluster.kill(member);
    }
    assert!(cluster.restart_both(0, learner).is_ok());
    cluster.block_on(async |cluster| {
        assert!(list(cluster, learner).await.iter().all(|member| !member.is_learner));
        cluster.put(learner, "c", "1").await.unwrap();
    });
}

#[test]
fn a_leader_can_be_removed_and_stops() {
    let mut cluster = Cluster::start(3, |_| {});
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    cluster.block_on(async |cluster| {
        let id = id_of(cluster, leader).await;
        assert_eq!(remove(cluster, leader, id).await.unwrap().len(), 2);
    });
    cluster.ended(leader).unwrap();
    cluster.block_on(async |cluster| {
        eventually("a write without it", Duration::from_secs(10), async || {
            cluster.put(follower, "a", "1").await.is_ok()
        })
        .await;
        assert_eq!(list(cluster, follower).await.len(), 2);
    });
}

#[test]
fn a_dead_member_is_replaced() {
    let mut cluster = Cluster::start(3, |_| {});
    let dead = (cluster.leader() + 1) % 3;
    let asked = (dead + 1) % 3;
    let (url, id) = cluster.block_on(async |cluster| {
        cluster.put(asked, "a", "1").await.unwrap();
        (cluster.config(dead).listen_peer_urls[0].clone(), id_of(cluster, dead).await)
    });
    cluster.kill(dead);
    let added = cluster.block_on(async |cluster| {
        eventually("the removal of the dead member", Duration::from_secs(10), async || {
            remove(cluster, asked, id).await.is_ok()
        })
        .await;
        let mut added = None;
        eventually("the new member is taken", Duration::from_secs(10), async || {
            add(cluster, asked, &url, false).await.is_ok()
        })
        .await;
        for member in list(cluster, asked).await {
            if member.name.is_empty() {
                added = Some(member.id);
            }
        }
        added.unwrap()
    });
    assert_ne!(added, id, "the same machine comes back as another member");
    let joined = cluster.join("again", &url, |_| {});
    cluster.ready(joined).unwrap();
    cluster.block_on(async |cluster| {
        assert_eq!(cluster.get(joined, "a", false).await.unwrap().as_deref(), Some("1"));
        assert_eq!(list(cluster, joined).await.len(), 3);
    });
}

#[test]
fn who_is_not_known_does_not_join() {
    let mut cluster = Cluster::start(1, |_| {});
    let stranger = cluster.join("stranger", &local_url(), |_| {});
    let refused = cluster.ready(stranger).unwrap_err();
    assert!(refused.contains("member count is unequal"), "{refused}");
    let nobody = cluster.join("nobody", &local_url(), |config| {
        config.initial_cluster.retain(|name, _| name == "nobody");
    });
    let refused = cluster.ready(nobody).unwrap_err();
    assert!(refused.contains("could not retrieve cluster information"), "{refused}");
}

#[test]
fn a_member_that_lost_its_disk_does_not_pretend() {
    let mut cluster = Cluster::start(3, |_| {});
    let wiped = (cluster.leader() + 1) % 3;
    cluster.kill(wiped);
    let lost = cluster.config(wiped).data_dir;
    // The threads of a killed member may write for a moment longer.
    cluster.block_on(async |_| {
        eventually("its disk is gone", Duration::from_secs(10), async || {
            std::fs::remove_dir_all(&lost).is_ok() || !lost.exists()
        })
        .await;
    });
    let refused = cluster.restart_with(wiped, |_| {}).unwrap_err();
    assert!(refused.contains("has already been bootstrapped"), "{refused}");
}

#[test]
fn the_last_one_of_three_goes_on_alone_when_forced() {
    let mut cluster = Cluster::start(3, |_| {});
    cluster.block_on(async |cluster| cluster.put(0, "a", "1").await.unwrap());
    for member in 0..3 {
        cluster.kill(member);
    }
    cluster.restart_with(1, |config| config.force_new_cluster = true).unwrap();
    cluster.block_on(async |cluster| {
        assert_eq!(cluster.get(1, "a", false).await.unwrap().as_deref(), Some("1"));
        cluster.put(1, "b", "1").await.unwrap();
        assert_eq!(list(cluster, 1).await.len(), 1);
    });
    cluster.kill(1);
    cluster.restart_with(1, |config| config.force_new_cluster = false).unwrap();
    cluster.block_on(async |cluster| {
        cluster.put(1, "c", "1").await.unwrap();
        assert_eq!(list(cluster, 1).await.len(), 1, "nobody is left over");
        // It grows again as any other.
        assert_eq!(text(add(cluster, 1, &local_url(), true).await), "done");
    });
}

#[test]
fn leadership_moves_where_it_is_sent() {
    let cluster = Cluster::start(3, |_| {});
    let leader = cluster.leader();
    let heir = (leader + 1) % 3;
    cluster.block_on(async |cluster| {
        let target_id = id_of(cluster, heir).await;
        let elsewhere = cluster.maintenance(heir).move_leader(MoveLeaderRequest { target_id }).await;
        assert_eq!(elsewhere.unwrap_err().code(), Code::FailedPrecondition);
        cluster.maintenance(leader).move_leader(MoveLeaderRequest { target_id }).await.unwrap();
        let key = RangeRequest { key: "a".into(), ..Default::default() };
        cluster.kv(leader).range(key).await.unwrap();
    });
    assert_eq!(cluster.leader(), heir);
}
