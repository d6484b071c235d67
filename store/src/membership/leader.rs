//! Membership changes that clients ask for: what only the leader can judge, then the command, then the wait for raft.
//!
//! With `--strict-reconfig-check` a change is refused that could cost the cluster its majority. Source: etcd v3.6
//! `etcdserver/server.go` and `membership/cluster.go`.

use balsa_proto::store::change_members_request::Change as Wire;
use balsa_proto::store::command::Op;
use balsa_proto::store::{
    ChangeMembersRequest, MemberAdd, MemberPromote, MemberRecord, MemberRemove, MemberUpdate,
};

use super::identity::added_member_id;
use super::table::MemberTable;
use crate::apply::Reply;
use crate::auth::Caller;
use crate::consensus::{MemberView, PeerView};
use crate::error::Error;
use crate::host;
use crate::status::Identity;

/// A learner is ready once it has this share of the leader's log. etcd's value.
const READY_PERCENT: u64 = 90;

/// What the flags say about changes.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub strict: bool,
    pub max_learners: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Add { peer_urls: Vec<String>, is_learner: bool },
    Remove(u64),
    Update { id: u64, peer_urls: Vec<String> },
    Promote(u64),
}

impl Change {
    /// `None`: of a version that this one does not know.
    pub fn from_wire(request: ChangeMembersRequest) -> Option<Change> {
        Some(match request.change? {
            Wire::Add(MemberAdd { member, .. }) => {
                let MemberRecord { peer_urls, is_learner, .. } = member?;
                Change::Add { peer_urls, is_learner }
            }
            Wire::Remove(MemberRemove { member_id }) => Change::Remove(member_id),
            Wire::Update(MemberUpdate { member_id, peer_urls }) => {
                Change::Update { id: member_id, peer_urls }
            }
            Wire::Promote(MemberPromote { member_id }) => Change::Promote(member_id),
        })
    }

    pub fn to_wire(&self) -> ChangeMembersRequest {
        let change = match self.clone() {
            Change::Add { peer_urls, is_learner } => {
                let member = MemberRecord { peer_urls, is_learner, ..Default::default() };
                Wire::Add(MemberAdd { member: Some(member), max_learners: 0 })
            }
            Change::Remove(member_id) => Wire::Remove(MemberRemove { member_id }),
            Change::Update { id: member_id, peer_urls } => {
                Wire::Update(MemberUpdate { member_id, peer_urls })
            }
            Change::Promote(member_id) => Wire::Promote(MemberPromote { member_id }),
        };
        ChangeMembersRequest { change: Some(change) }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct LeaderMembers {
    pub identity: Identity,
    pub rules: Rules,
}

impl LeaderMembers {
    /// Only while this member leads. Answers with all members after the change.
    pub async fn change(&self, change: Change) -> Result<Vec<MemberRecord>, Error> {
        self.identity.consensus.read_barrier().await?;
        if !self.identity.consensus.leadership().is_leader {
            return Err(Error::NotLeader);
        }
        self.check(&change)?;
        let (op, arrived) = self.command(change);
        match self.identity.consensus.propose(Caller::Server, op).await? {
            Reply::Members(members) => {
                self.wait_for_raft(arrived).await;
                Ok(members)
            }
            other => panic!("apply answered a membership change with {other:?}"),
        }
    }

    fn command(&self, change: Change) -> (Op, Arrived) {
        match change {
            Change::Add { peer_urls, is_learner } => {
                let member_id = added_member_id(&peer_urls, host::wall_clock());
                let member = MemberRecord { member_id, peer_urls, is_learner, ..Default::default() };
                let add = MemberAdd { member: Some(member), max_learners: self.rules.max_learners };
                (Op::MemberAdd(add), Arrived::Known(member_id))
            }
            Change::Remove(member_id) => {
                (Op::MemberRemove(MemberRemove { member_id }), Arrived::Gone(member_id))
            }
            Change::Update { id: member_id, peer_urls } => {
                (Op::MemberUpdate(MemberUpdate { member_id, peer_urls }), Arrived::Known(member_id))
            }
            Change::Promote(member_id) => {
                (Op::MemberPromote(MemberPromote { member_id }), Arrived::Votes(member_id))
            }
        }
    }

    /// The change stands already: that raft follows late, or under another leader, is not an error.
    async fn wait_for_raft(&self, arrived: Arrived) {
        let consensus = &self.identity.consensus;
        // A leader that removes itself hears nothing of the end: its heir does the rest.
        if arrived == Arrived::Gone(consensus.member_id()) {
            return;
        }
        let mut members = consensus.watch_members();
        let wait = members.wait_for(|members| arrived.holds(members));
        drop(tokio::time::timeout(consensus.request_timeout(), wait).await);
    }

    fn check(&self, change: &Change) -> Result<(), Error> {
        let table = self.identity.mvcc.members();
        let health = Health { own_id: self.identity.member_id, peers: &|id| self.peer(id) };
        match change {
            Change::Promote(id) => {
                self.learner_is_ready(&table, *id)?;
                self.only_if_strict(|| enough_started(&table, Candidate::Learner(*id)))
            }
            Change::Add { is_learner, .. } => self.only_if_strict(|| may_add(&table, *is_learner, &health)),
            Change::Remove(id) => self.only_if_strict(|| may_remove(&table, *id, &health)),
            Change::Update { .. } => Ok(()),
        }
    }

    fn only_if_strict(&self, check: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        if self.rules.strict { check() } else { Ok(()) }
    }

    fn peer(&self, id: u64) -> Option<PeerView> {
        self.identity.consensus.peers().get(&id).copied()
    }

    fn learner_is_ready(&self, table: &MemberTable, id: u64) -> Result<(), Error> {
        if !table.get(id).ok_or(Error::MemberNotFound)?.is_learner {
            return Err(Error::MemberNotLearner);
        }
        let have = self.peer(id).map_or(0, |peer| peer.matched_index);
        let want = self.identity.consensus.progress().last_index;
        let is_ready = have > 0 && u128::from(have) * 100 >= u128::from(want) * u128::from(READY_PERCENT);
        if is_ready { Ok(()) } else { Err(Error::LearnerNotReady) }
    }
}

/// What raft's membership shows once it has followed a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrived {
    Known(u64),
    Votes(u64),
    Gone(u64),
}

impl Arrived {
    fn holds(self, members: &[MemberView]) -> bool {
        let find = |id| members.iter().find(|member| member.id == id);
        match self {
            Arrived::Known(id) => find(id).is_some(),
            Arrived::Votes(id) => find(id).is_some_and(|member| !member.is_learner),
            Arrived::Gone(id) => find(id).is_none(),
        }
    }
}

/// Who is heard by the leader.
struct Health<'a> {
    own_id: u64,
    peers: &'a dyn Fn(u64) -> Option<PeerView>,
}

impl Health<'_> {
    fn is_heard(&self, id: u64) -> bool {
        id == self.own_id || (self.peers)(id).is_some_and(|peer| peer.is_heard)
    }
}

fn may_add(table: &MemberTable, is_learner: bool, health: &Health<'_>) -> Result<(), Error> {
    if !is_learner {
        enough_started(table, Candidate::New)?;
    }
    let all_heard = table.voters().all(|member| health.is_heard(member.member_id));
    if all_heard { Ok(()) } else { Err(Error::Unhealthy) }
}

fn may_remove(table: &MemberTable, id: u64, health: &Health<'_>) -> Result<(), Error> {
    if table.is_learner(id) {
        return Ok(());
    }
    let left: Vec<_> = table.voters().filter(|member| member.member_id != id).collect();
    let started = left.iter().filter(|member| is_started(member)).count();
    if started < left.len() / 2 + 1 {
        return Err(Error::MemberNotEnoughStarted);
    }
    // One that is down does not take part in the majority that is there.
    if !health.is_heard(id) {
        return Ok(());
    }
    let voters = table.voters().count();
    let heard = table.voters().filter(|member| health.is_heard(member.member_id)).count();
    if heard < 2 + voters.saturating_sub(1) / 2 { Err(Error::Unhealthy) } else { Ok(()) }
}

/// Who is to vote from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Candidate {
    Learner(u64),
    New,
}

/// That a majority of the voters has started, with the candidate among them.
fn enough_started(table: &MemberTable, candidate: Candidate) -> Result<(), Error> {
    let learner = match candidate {
        Candidate::Learner(id) => table.get(id),
        Candidate::New => None,
    };
    let voters = table.voters().count() + 1;
    let started = table.voters().chain(learner).filter(|member| is_started(member)).count();
    // A lone member may get company: that is how a cluster is restored.
    let restores = candidate == Candidate::New && started == 1 && voters == 2;
    if restores || started > voters / 2 { Ok(()) } else { Err(Error::MemberNotEnoughStarted) }
}

fn is_started(member: &MemberRecord) -> bool {
    !member.name.is_empty()
}
