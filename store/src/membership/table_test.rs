//! The table of members, and what it refuses.

use super::*;

fn member(id: u64, is_learner: bool) -> MemberRecord {
    MemberRecord { member_id: id, peer_urls: vec![format!("http://m{id}")], is_learner, ..Default::default() }
}

fn three_and_a_learner() -> MemberTable {
    MemberTable::new([member(1, false), member(2, false), member(3, false), member(4, true)], [9].into())
}

type Case = (&'static str, fn(&mut MemberTable) -> Result<(), Error>, Result<(), Error>);

const CASES: &[Case] = &[
    ("add", |t| t.add(member(5, false), 1), Ok(())),
    (
        "add an id again",
        |t| t.add(MemberRecord { peer_urls: vec![], ..member(1, false) }, 1),
        Err(Error::MemberExist),
    ),
    ("add a removed id", |t| t.add(member(9, false), 1), Err(Error::MemberNotFound)),
    (
        "add a URL again",
        |t| t.add(MemberRecord { member_id: 5, ..member(2, false) }, 1),
        Err(Error::PeerUrlExist),
    ),
    ("add a second learner", |t| t.add(member(5, true), 1), Err(Error::TooManyLearners)),
    ("two learners are allowed", |t| t.add(member(5, true), 2), Ok(())),
    ("learners without a bound", |t| t.add(member(5, true), 0), Ok(())),
    ("remove", |t| t.remove(2), Ok(())),
    ("remove a stranger", |t| t.remove(7), Err(Error::MemberNotFound)),
    ("remove twice", |t| t.remove(9), Err(Error::MemberNotFound)),
    ("the last voter stays", |t| (1..=3).try_for_each(|id| t.remove(id)), Err(Error::MemberNotEnoughStarted)),
    ("update", |t| t.update(1, vec!["http://other".into()]), Ok(())),
    ("update to what it has", |t| t.update(1, vec!["http://m1".into()]), Ok(())),
    ("update to another's URL", |t| t.update(1, vec!["http://m2".into()]), Err(Error::PeerUrlExist)),
    ("update a stranger", |t| t.update(7, vec![]), Err(Error::MemberNotFound)),
    ("promote", |t| t.promote(4), Ok(())),
    ("promote a voter", |t| t.promote(1), Err(Error::MemberNotLearner)),
    ("promote a stranger", |t| t.promote(7), Err(Error::MemberNotFound)),
];

#[test]
fn changes_have_etcds_outcomes() {
    for (name, change, want) in CASES {
        assert_eq!(change(&mut three_and_a_learner()), *want, "{name}");
    }
}

#[test]
fn an_update_does_not_promote() {
    let mut table = three_and_a_learner();
    table.update(4, vec!["http://elsewhere".into()]).expect("allowed");
    assert!(table.is_learner(4));
    assert_eq!(table.get(4).expect("there").peer_urls, ["http://elsewhere"]);
}

#[test]
fn a_removed_member_is_not_listened_to() {
    let mut table = three_and_a_learner();
    table.describe(&MemberAttributes { member_id: 9, name: "ghost".into(), ..Default::default() });
    assert!(table.get(9).is_none());
}

#[test]
fn a_sole_member_votes_and_the_others_are_gone_for_good() {
    let mut table = three_and_a_learner();
    table.keep_only(member(4, true));
    assert_eq!(table.iter().map(|member| member.member_id).collect::<Vec<_>>(), [4]);
    assert!(!table.is_learner(4));
    assert_eq!(table.removed().collect::<Vec<_>>(), [1, 2, 3, 9]);
}
