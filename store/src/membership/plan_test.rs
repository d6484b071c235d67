//! Which step comes next.

use std::sync::Arc;

use balsa_proto::store::MemberRecord;

use super::*;

fn url(id: u64) -> Vec<String> {
    vec![format!("http://m{id}")]
}

fn node(id: u64) -> MemberNode {
    MemberNode { name: String::new(), peer_urls: url(id) }
}

/// `3` is a voter, `-3` a learner.
fn record(signed: i64) -> MemberRecord {
    let id = signed.unsigned_abs();
    MemberRecord { member_id: id, peer_urls: url(id), is_learner: signed < 0, ..Default::default() }
}

fn view(signed: i64) -> MemberView {
    let id = signed.unsigned_abs();
    MemberView { id, node: Arc::new(node(id)), is_learner: signed < 0 }
}

/// Member 1 leads; of the others `level` have the whole log and are heard.
fn plan(table: &[i64], raft: &[i64], level: &[u64], changing: bool) -> Option<Action> {
    let table = MemberTable::new(table.iter().copied().map(record), BTreeSet::new());
    let members: Vec<MemberView> = raft.iter().copied().map(view).collect();
    let peer = |id: u64| {
        let is_heard = level.contains(&id);
        Some(PeerView { matched_index: if is_heard { 100 } else { 0 }, is_heard })
    };
    next(&Situation {
        own_id: 1,
        table: &table,
        members: &members,
        changing,
        peer: &peer,
        last_index: 100,
        max_voter_lag_entries: 10,
    })
}

fn set_voters(ids: &[u64]) -> Option<Action> {
    Some(Action::Reconfigure(Reconfiguration::SetVoters(ids.iter().copied().collect())))
}

#[test]
fn one_step_at_a_time() {
    let add = |id| Some(Action::Reconfigure(Reconfiguration::AddLearner { id, node: node(id) }));
    let remove = |id| Some(Action::Reconfigure(Reconfiguration::RemoveLearner(id)));
    type Case = (&'static str, Option<Action>, Option<Action>);
    let cases: &[Case] = &[
        ("nothing to do", plan(&[1, 2, 3], &[1, 2, 3], &[2, 3], false), None),
        ("a learner stays one", plan(&[1, -2], &[1, -2], &[2], false), None),
        ("before the first entry", plan(&[], &[1], &[], false), None),
        ("a new member comes as a learner", plan(&[1, 2], &[1], &[], false), add(2)),
        ("one that never started does not vote", plan(&[1, 2], &[1, -2], &[], false), None),
        ("one that caught up votes", plan(&[1, 2], &[1, -2], &[2], false), set_voters(&[1, 2])),
        ("a dead voter is removed", plan(&[1, 2], &[1, 2, 3], &[2], false), set_voters(&[1, 2])),
        ("so is a learner", plan(&[1], &[1, -2], &[], false), remove(2)),
        ("a change is completed", plan(&[1, 2], &[1, 2], &[2], true), set_voters(&[1, 2])),
        (
            "a leader does not remove itself",
            plan(&[2, 3], &[1, 2, 3], &[3], false),
            Some(Action::HandOver(3)),
        ),
        ("not even when nobody is there", plan(&[2], &[1, -2], &[], false), None),
    ];
    for (name, have, want) in cases {
        assert_eq!(have, want, "{name}");
    }
}

#[test]
fn a_member_that_moved_is_told_to_raft() {
    let mut moved = record(2);
    moved.peer_urls = url(7);
    let table = MemberTable::new([record(1), moved], BTreeSet::new());
    let members = [view(1), view(2)];
    let situation = Situation {
        own_id: 1,
        table: &table,
        members: &members,
        changing: false,
        peer: &|_| None,
        last_index: 0,
        max_voter_lag_entries: 0,
    };
    let step = Reconfiguration::SetNode { id: 2, node: node(7) };
    assert_eq!(next(&situation), Some(Action::Reconfigure(step)));
}
